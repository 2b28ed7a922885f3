"""The labels of several judges -> the one that counts for all of them."""

from collections import Counter
from collections.abc import Mapping, Sequence


def majority_label(labels: Sequence[str], values: Mapping[str, float]) -> str | None:
    """Return the label of more than half of the judges, or else the median label.

    With an even number of labels the lower one of the two in the middle counts: a panel that is split does not speak
    for the answer. So RELEVANT and NON_RELEVANT give NON_RELEVANT, and one of each of three labels the middle one.

    Args:
        labels: One label of each judge that gave a verdict, in any order; a judge without one has no vote.
        values: The value of each label, which puts them in order.

    Returns:
        One of `labels`, or None if there are none.

    Raises:
        KeyError: If a label has no value.
    """
    if not labels:
        return None
    ordered = sorted(labels, key=lambda label: values[label])
    label, votes = Counter(ordered).most_common(1)[0]
    return label if 2 * votes > len(ordered) else ordered[(len(ordered) - 1) // 2]
