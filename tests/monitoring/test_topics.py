"""Topics: clusters that are there are found, named by a question of theirs, and the same each time."""

import numpy as np
import pytest

from rageval.monitoring.topics import Vectors, make_topics, nearest_topics


def _around(directions: int, each: int, seed: int = 3) -> tuple[list[str], Vectors]:
    random = np.random.default_rng(seed)
    points = np.repeat(np.eye(directions, 32), each, axis=0) + random.normal(0, 0.08, (directions * each, 32))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return [f"{number // each}: question {number}" for number in range(len(points))], points.astype(np.float32)


def test_clusters_that_are_there_are_found_and_named_by_their_most_typical_question() -> None:
    questions, vectors = _around(4, 30)
    topics = make_topics(questions, vectors, count=4, version="7")
    found = nearest_topics(vectors, topics)
    assert sorted(topic.topic for topic in topics) == ["7-1", "7-2", "7-3", "7-4"]
    titles = {topic.topic: topic.title for topic in topics}
    # The first character of a question is its cluster: it is that of its topic's title.
    assert all(titles[topic][0] == question[0] for question, (topic, _) in zip(questions, found, strict=True))
    assert min(cosine for _, cosine in found) > 0.8
    for topic in topics:
        mine = vectors[[place for place, (name, _) in enumerate(found) if name == topic.topic]]
        nearest = vectors[questions.index(topic.title)] @ topic.centre
        assert (mine @ topic.centre).max() == pytest.approx(nearest, abs=1e-6)


def test_topics_do_not_depend_on_the_order_or_on_how_often_a_question_is_asked() -> None:
    questions, vectors = _around(3, 20)
    order = np.random.default_rng(1).permutation(len(questions))
    again = [*order, *[order[0]] * 500]
    one = make_topics(questions, vectors, count=3, version="1")
    other = make_topics([questions[place] for place in again], vectors[again], count=3, version="1")
    assert [(topic.topic, topic.title) for topic in one] == [(topic.topic, topic.title) for topic in other]


def test_too_few_questions_make_few_topics_or_none() -> None:
    questions, vectors = _around(3, 20)
    assert len(make_topics(questions, vectors, count=50, version="1")) == 6
    assert make_topics(questions[:19], vectors[:19], count=5, version="1") == []
    assert make_topics([], vectors[:0], count=5, version="1") == []
