"""Equal events folded, and a bound that no flood gets past."""

from enforcer.audit.window import LEFT_OUT, Window


def window_of(*events, **bounds):
    window = Window(**bounds)
    for event in events:
        window.add(event)
    return window


def test_equal_events_are_one_with_first_and_last_time(event):
    window = window_of(event(at=1), event(at=2), event(at=5))

    (folded,) = window

    assert folded == event(at=1)._replace(last_time_s=event(at=5).time_s, occurrences=3)
    assert window.occurrences == 3
    assert len(window) == 1


def test_different_events_stay_apart(event):
    window = window_of(event(), event(client="192.0.2.8"))

    assert [folded.client for folded in window] == ["192.0.2.7", "192.0.2.8"]


def test_times_out_of_order_widen_the_event(event):
    (folded,) = window_of(event(at=5), event(at=2), event(at=3))

    assert (folded.time_s, folded.last_time_s) == (event(at=2).time_s, event(at=5).time_s)


def test_past_the_bound_the_destination_is_left_out(event):
    window = window_of(
        *(event(name=f"{n}.example", address="192.0.2.9", port=443) for n in range(5)),
        max_detailed=2,
    )

    *detailed, coarse = window

    assert [folded.name for folded in detailed] == ["0.example", "1.example"]
    assert (coarse.name, coarse.address, coarse.port) == (LEFT_OUT, LEFT_OUT, None)
    assert (coarse.client, coarse.occurrences) == ("192.0.2.7", 3)
    assert window.coarsened == 3


def test_past_the_bound_known_events_keep_their_detail(event):
    window = window_of(
        event(name="0.example"), event(name="1.example"), event(name="0.example"), max_detailed=1
    )

    assert [(folded.name, folded.occurrences) for folded in window] == [
        ("0.example", 2),
        (LEFT_OUT, 1),
    ]


def test_past_the_clients_bound_only_what_the_policy_says_is_left(event):
    window = window_of(
        *(event(client=f"192.0.2.{n}", reason=f"reason {n}") for n in range(10)),
        max_detailed=2,
        max_clients=3,
    )

    *_, coarsest = window

    assert (coarsest.client, coarsest.reason, coarsest.rule) == (
        LEFT_OUT,
        LEFT_OUT,
        "ngrok-connect",
    )
    assert len(window) == 2 + 3 + 1
    assert sum(folded.occurrences for folded in window) == window.occurrences == 10


def test_a_flood_is_bounded_and_every_event_counted(event):
    window = window_of(
        *(event(name=f"{n}.example", client=f"10.0.{n % 200}.1") for n in range(3000)),
        max_detailed=100,
        max_clients=50,
    )

    assert len(window) <= 100 + 50 + 1
    assert window.occurrences == 3000


def test_an_event_that_was_coarse_already_is_not_counted_twice(event):
    first = window_of(*(event(name=f"{n}.example") for n in range(3)), max_detailed=1)
    second = window_of(event(name="z.example"), max_detailed=1)

    second.merge(first)

    assert second.occurrences == 4
    assert second.coarsened == 1  # 0.example; the other two came coarse


def test_merged_windows_count_all(event):
    window = window_of(event(at=1), event(at=2))

    window.merge(window_of(event(at=0), event(name="b.example")))

    assert [(folded.name, folded.occurrences) for folded in window] == [
        ("connect.ngrok-agent.com", 3),
        ("b.example", 1),
    ]
    assert next(iter(window)).time_s == event(at=0).time_s
