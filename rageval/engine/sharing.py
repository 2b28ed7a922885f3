"""How much of a limit this process may use, when several processes work under it and each only sees how many do."""

_RISE_PER_S = 0.2
_FIRST = 0.05
_TOGETHER = 0.97
_FORGOTTEN_AFTER_S = 5.0


class LimitShare:
    """The share of one limit, from the places at it that this process holds and those that are held by all.

    Alone it is the whole limit. Beside others it is held / taken of 97 % of it. A share falls at once, and rises
    slowly: the others see only some time later that there is somebody new. So the shares of all together stay below
    the whole limit, but for what they rise within that time. Times are seconds of any one clock.
    """

    def __init__(self) -> None:
        self.value = 0.0
        """The share, above 0 and at most 1, once `update` was called."""
        self._at = float("-inf")

    def update(self, now: float, *, held: int, taken: int) -> float:
        """Return the share from now on.

        Args:
            now: The time. After five seconds without an update the share starts from the bottom again.
            held: Places that this process holds, at least 1.
            taken: Places that are held by all processes; fewer than `held` counts as none but its own.
        """
        before = self.value if now - self._at <= _FORGOTTEN_AFTER_S else 0.0
        rise = _RISE_PER_S * (now - self._at) if before else _FIRST
        self._at = now
        self.value = min(_TOGETHER * held / taken, before + rise) if taken > held else 1.0
        return self.value
