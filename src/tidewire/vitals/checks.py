"""Carries out checks when asked, each under its own deadline; who asks while it runs shares the answer.

A check returns what it found or raises TidewireError; nothing is remembered from one asking to the next, so that no
answer is older than the question. It must not know what is checked.
Source: contract.md section 6 (``system-health``); reliability.md 3.1 item 14.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import structlog

from tidewire.core.background import background
from tidewire.core.clock import Clock
from tidewire.core.errors import Detail, RequestError, TidewireError
from tidewire.vitals.wire import CheckResult, Status, SystemHealth

# Nodes get two seconds to answer; nothing else may take longer.
DEADLINE_S = 2.5
_RANK: dict[Status, int] = {"ok": 0, "degraded": 1, "failed": 2}

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found that did not fail.

    Attributes:
        latency_ms: What it measured; None: the time that the check took.
        concern: Why it is degraded; None if it is not.
        remark: What there is to know although all is well; ``code`` and ``details`` say it for programs.
    """

    latency_ms: float | None = None
    concern: TidewireError | None = None
    remark: str = ""
    code: str = ""
    details: Mapping[str, Detail] = field(default_factory=dict)


Check = Callable[[], Awaitable[Finding]]


class Checks:
    """See the module's text.

    Args:
        checks: By name, in the order in which they are shown.
        node, instance: Who checks.
    """

    def __init__(
        self,
        checks: Mapping[str, Check],
        clock: Clock,
        *,
        node: str,
        instance: str,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._checks = dict(checks)
        self._clock = clock
        self._node, self._instance = node, instance
        self._deadline_s = deadline_s
        self._under_way: asyncio.Task[SystemHealth] | None = None
        self.rounds = 0

    async def health(self) -> SystemHealth:
        """Carry out every check; whoever gives up waiting does not end it for others."""
        if self._under_way is None:
            self._under_way = background(self._all(), "system-health")
            self._under_way.add_done_callback(self._done)
        return await asyncio.shield(self._under_way)

    async def stop(self) -> None:
        """Give up what is under way. Idempotent."""
        if self._under_way is not None:
            self._under_way.cancel()
            await asyncio.gather(self._under_way, return_exceptions=True)

    def _done(self, _: asyncio.Task[SystemHealth]) -> None:
        self._under_way = None

    async def _all(self) -> SystemHealth:
        self.rounds += 1
        began = time.perf_counter()
        results = await asyncio.gather(*(self._one(name, check) for name, check in self._checks.items()))
        return SystemHealth(
            status=max((result.status for result in results), key=_RANK.__getitem__, default="ok"),
            node=self._node,
            instance=self._instance,
            at=self._clock.time(),
            took_ms=_ms_since(began),
            checks=results,
        )

    async def _one(self, name: str, check: Check) -> CheckResult:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self._deadline_s):
                found = await check()
        except TimeoutError:
            return CheckResult(
                name=name,
                status="failed",
                latency_ms=None,
                reason=f"There was no answer within {self._deadline_s:g} s.",
                required_action="Look whether it runs, is overloaded, or cannot be reached over the network.",
                will_not="Tidewire will not call healthy what does not answer.",
                code="check_unanswered",
                details={"seconds": self._deadline_s},
            )
        except TidewireError as error:
            return _result(name, "failed", _ms_since(began), error)
        except Exception as exc:  # noqa: BLE001 - checks of any part; whoever asked is told
            _log.exception("check_broke", check=name)
            return _broken(name, _ms_since(began), exc)
        latency_ms = _ms_since(began) if found.latency_ms is None else round(found.latency_ms, 2)
        if found.concern is not None:
            return _result(name, "degraded", latency_ms, found.concern)
        return CheckResult(
            name=name,
            status="ok",
            latency_ms=latency_ms,
            reason=found.remark,
            code=found.code,
            details=dict(found.details),
        )


def _result(name: str, status: Status, latency_ms: float, error: TidewireError) -> CheckResult:
    return CheckResult(
        name=name,
        status=status,
        latency_ms=latency_ms,
        reason=error.message,
        required_action=error.required_action,
        will_not=error.will_not,
        code=error.code,
        details=dict(error.details or {}) if isinstance(error, RequestError) else {},
    )


def _broken(name: str, latency_ms: float, exc: Exception) -> CheckResult:
    return CheckResult(
        name=name,
        status="failed",
        latency_ms=latency_ms,
        reason=f"The check itself broke ({type(exc).__name__}); this is a fault of Tidewire's.",
        required_action="Report the log line check_broke.",
        will_not="Tidewire will not call healthy what it could not check.",
        code="check_broken",
        details={"kind": type(exc).__name__},
    )


def _ms_since(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 2)
