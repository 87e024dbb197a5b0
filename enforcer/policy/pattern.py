"""Name patterns: ``*`` stands for any characters within one label.

``connect.*.ngrok-agent.com`` matches one label in the middle, never two and never
none; ``connect.*-ngrok-agent.com`` matches part of a label.
"""

import re

from enforcer.policy.names import parse_host


def parse_pattern(text: str) -> str:
    """Folded pattern; raises ValueError when it is not one."""
    if "*" not in text:
        raise ValueError(f"{text!r} has no *; list it under names or suffixes")
    return re.sub(r"\*+", "*", parse_host(text, wildcard=True))


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """The expression that matches whole names."""
    labels = ["[^.]+" if label == "*" else _label(label) for label in pattern.split(".")]
    return re.compile(r"\.".join(labels), re.ASCII)


def _label(label: str) -> str:
    # The first place where a middle part fits is as good as any other, so the groups are
    # atomic, and no name makes the expression try them all again.
    if "*" not in label:
        return re.escape(label)
    first, *middle, last = map(re.escape, label.split("*"))
    return first + "".join(f"(?>[^.]*?{part})" for part in middle) + "[^.]*" + last


def literal_labels(pattern: str) -> int:
    """How many labels have no ``*``: what makes one pattern more specific than another."""
    return sum("*" not in label for label in pattern.split("."))


def literal_tail(pattern: str) -> str:
    """The labels after the last one that has a ``*``: the suffix of every name that matches."""
    _, _, tail = pattern.rpartition("*")
    return tail.partition(".")[2]


def overlap(left: str, right: str) -> bool:
    """Whether some name matches both."""
    left_labels, right_labels = left.split("."), right.split(".")
    return len(left_labels) == len(right_labels) and all(
        map(_labels_overlap, reversed(left_labels), reversed(right_labels))
    )


def _labels_overlap(left: str, right: str) -> bool:
    """Whether some text fits both globs."""
    if "*" not in left and "*" not in right:
        return left == right
    # fits[j]: some text fits both what was read of left and the first j characters of right.
    fits = [True]
    for other in right:
        fits.append(fits[-1] and other == "*")
    for char in left:
        above, fits = fits, [fits[0] and char == "*"]
        for j, other in enumerate(right):
            if "*" in (char, other):
                # The star ends here, or takes one more character of the other side.
                fits.append(above[j + 1] or fits[j])
            else:
                fits.append(above[j] and char == other)
    return fits[-1]
