"""Name patterns: ``*`` stands for any characters within one label.

``connect.*.ngrok-agent.com`` matches one label in the middle, never two and never
none; ``connect.*-ngrok-agent.com`` matches part of a label.
"""

import re
from functools import cache

from enforcer.policy.names import parse_host


def parse_pattern(text: str) -> str:
    """Folded pattern; raises ValueError when it is not one."""
    if "*" not in text:
        raise ValueError(f"{text!r} has no *: list it under names or suffixes")
    parse_host(text.replace("*", "x"))
    return text.lower().removesuffix(".")


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """The expression that matches whole names."""
    labels = ["[^.]+" if label == "*" else _label(label) for label in pattern.split(".")]
    return re.compile(r"\.".join(labels), re.ASCII)


def _label(label: str) -> str:
    return "[^.]*".join(re.escape(part) for part in label.split("*"))


def literal_labels(pattern: str) -> int:
    """How many labels have no ``*``: what makes one pattern more specific than another."""
    return sum("*" not in label for label in pattern.split("."))


def overlap(left: str, right: str) -> bool:
    """Whether some name matches both."""
    left_labels, right_labels = left.split("."), right.split(".")
    return len(left_labels) == len(right_labels) and all(
        map(_labels_overlap, left_labels, right_labels)
    )


@cache
def _labels_overlap(left: str, right: str) -> bool:
    if not left or not right:
        return not (left or right).strip("*")
    if left[0] == "*" or right[0] == "*":
        # A star ends here, or takes one more character of the other side.
        return _labels_overlap(left[1:], right) or _labels_overlap(left, right[1:])
    return left[0] == right[0] and _labels_overlap(left[1:], right[1:])
