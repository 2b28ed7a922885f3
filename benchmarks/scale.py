"""Many questions, one system, no Prefect: peak memory, and whether the last questions cost as much as the first."""

import itertools
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from tempfile import TemporaryDirectory

from benchmarks.engine import reset
from benchmarks.model_server import Behaviour
from benchmarks.processes import Memory
from rageval.config.evaluation import IndexConfig
from rageval.config.models import ModelConfig
from rageval.config.systems import DEFAULT_PROMPT
from rageval.embedding.embedder import load_embedder
from rageval.engine.chunks import plan_chunks
from rageval.engine.request_engine import RequestEngine
from rageval.judging.plan import ScorePlan
from rageval.metrics import catalogue
from rageval.records import Chunk, Document, Question, Retrieval
from rageval.runs.run import Run
from rageval.scoring.computing import AnsweredChunk, compute_scores
from rageval.systems.answers import answer_chunk
from rageval.systems.kinds import built_in
from rageval.systems.pipeline import Pipeline
from rageval.systems.system import System
from rageval.tables import DOCUMENTS, QUESTIONS, RETRIEVAL, to_table
from rageval.text.fingerprint import question_id

_CHUNK = 50
_AHEAD = 6


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Seconds of ten equal parts of the questions, and the most memory above the start, in MiB."""

    questions: int
    deciles_s: list[float]
    memory_mib: float


def measure_scale(questions: int, server: str) -> Scale:
    """Answer and score so many questions from stored contexts, as the flow does: a few chunks at a time."""
    reset(server, Behaviour())
    model = ModelConfig(name="bench", base_url=f"{server}/v1")
    system = Pipeline(name="bench", prompt=built_in(DEFAULT_PROMPT), model=model, retriever="vector")
    with TemporaryDirectory() as folder, RequestEngine() as engine, ThreadPoolExecutor(_AHEAD) as pool:
        run = Run(f"{folder}/run")
        _write_inputs(run, questions)
        load_embedder(IndexConfig().embedding_model, 16, run.cache).embed(["warm"])
        memory = Memory()
        ended = [time.monotonic()]
        window: deque[Future[None]] = deque()
        chunks = plan_chunks(questions, _CHUNK)
        for number, chunk in enumerate(chunks, 1):
            if len(window) == _AHEAD:
                window.popleft().result()
            window.append(pool.submit(_answer_and_score, run, chunk, system, engine))
            if number * 10 // len(chunks) == len(ended):
                ended.append(time.monotonic())
        for future in window:
            future.result()
        run.merge_chunks("answers", [(system.name, chunk) for chunk in chunks])
        run.merge_chunks("scores", [(system.name, chunk) for chunk in chunks])
        deciles = [after - before for before, after in itertools.pairwise(ended)]
        return Scale(questions=questions, deciles_s=deciles, memory_mib=memory.stop())


def _answer_and_score(run: Run, chunk: Chunk, system: System, engine: RequestEngine) -> None:
    answer_chunk(run, chunk, system, engine)
    plan = ScorePlan(index=IndexConfig(), computed=catalogue.computed(catalogue.choices()))
    compute_scores(run, [AnsweredChunk(system=system, chunk=chunk)], plan, engine)


def _write_inputs(run: Run, count: int) -> None:
    documents = [
        Document(
            document_id=f"d{n}", title=f"What is {n}?", text=f"It is {n}.", metadata={"section": "s"}, content_hash=""
        )
        for n in range(500)
    ]
    questions = [
        Question(
            question_id=question_id(f"q{n}", f"d{n % 500}"),
            question=f"q{n}",
            relevant_ids=(f"d{n % 500}",),
            relevant_grades=(1,),
        )
        for n in range(count)
    ]
    found = (
        Retrieval(
            question_id=question.question_id, retriever="vector", scores=(1.0,) * 5, latency_s=0.0,
            document_ids=tuple(f"d{(n + i) % 500}" for i in range(5)), first_relevant_rank=1,
        )
        for n, question in enumerate(questions)
    )  # fmt: skip
    run.write("documents", to_table(documents, DOCUMENTS))
    run.write("questions", to_table(questions, QUESTIONS))
    run.write("retrieval", to_table(found, RETRIEVAL))
