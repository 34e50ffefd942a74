"""Authentication flows: compared step by step, and replaced whole."""

import uuid
from collections.abc import Iterator
from functools import partial
from typing import Any

from backbone.realm.code import Document, merge
from backbone.realm.drift import Difference, Drift, differences, missing, unknown
from backbone.realm.live import LiveRealm

FLOWS, EXECUTIONS = ("authentication", "flows"), ("authentication", "executions")
NEW = " - new"
Steps = dict[str, dict[str, Any]]


def flows(live: LiveRealm, code: Document) -> Iterator[Drift]:
    """Every flow that the code has; those that Keycloak comes with are not looked at."""
    known = {flow["alias"]: flow for flow in live.get(*FLOWS)}
    every = {flow["alias"]: flow for flow in code.get("authenticationFlows", ())}
    stated = {alias: flow for alias, flow in every.items() if flow["topLevel"]}
    for alias in stated:
        subject = f"authentication flow {alias}"
        if alias not in known:
            yield missing(subject, partial(_make, live, code, alias))
            continue
        here, there = dict(_steps(code, alias)), _live_steps(live, alias)
        found = [*differences(here, there)]
        found += [Difference(path, "present", None) for path in there if path not in here]
        if not found and list(here) != list(there):
            found.append(Difference("order", list(there), list(here)))
        if found:
            yield Drift(subject, tuple(found), partial(_replace, live, code, alias))
    for alias, flow in known.items():
        if alias not in stated and not flow["builtIn"]:
            mend = partial(live.delete, *FLOWS, flow["id"])
            yield unknown(f"authentication flow {alias}", mend)


def _steps(code: Document, alias: str, top: bool = True) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each step under the name of its subflow, in the order in which they are tried."""
    configs = {each["alias"]: each["config"] for each in code.get("authenticatorConfig", ())}
    for step in _flow(code, alias)["authenticationExecutions"]:
        name = step.get("flowAlias") or step["authenticator"]
        here = name if top else f"{alias} > {name}"
        config = configs[step["authenticatorConfig"]] if "authenticatorConfig" in step else {}
        yield here, {"requirement": step["requirement"], "config": config}
        if "flowAlias" in step:
            yield from _steps(code, name, top=False)


def _live_steps(live: LiveRealm, alias: str) -> Steps:
    steps: Steps = {}
    above: list[str] = []
    for step in live.get(*FLOWS, alias, "executions"):
        name = step["displayName"] if step.get("authenticationFlow") else step["providerId"]
        above = [*above[: step["level"]], name]
        config = step.get("authenticationConfig")
        steps[" > ".join(above[-2:])] = {
            "requirement": step["requirement"],
            "config": live.get("authentication", "config", config)["config"] if config else {},
        }
    return steps


def _replace(live: LiveRealm, code: Document, alias: str) -> None:
    """The new flow is made beside the old one, then takes its place: no sign-in meets neither."""
    new = alias + NEW
    leftover = {flow["alias"]: flow["id"] for flow in live.get(*FLOWS)}
    if new in leftover:  # of a run that was interrupted
        _rebind(live, new, alias)
        live.delete(*FLOWS, leftover[new])
    _make(live, code, alias, NEW)
    _rebind(live, alias, new)
    live.delete(*FLOWS, leftover[alias])
    for name in (*_below(code, alias), alias):
        flow = _by_alias(live, new, name + NEW)
        live.put(*FLOWS, flow["id"], body={**flow, "alias": name})


def _make(live: LiveRealm, code: Document, alias: str, suffix: str = "") -> None:
    flow = _flow(code, alias)
    described = {"description": flow.get("description", ""), "providerId": "basic-flow"}
    top = {**described, "alias": alias + suffix, "topLevel": True, "builtIn": False}
    live.post(*FLOWS, body=top)
    _fill(live, code, alias, suffix)


def _fill(live: LiveRealm, code: Document, alias: str, suffix: str) -> None:
    configs = {each["alias"]: each for each in code.get("authenticatorConfig", ())}
    for step in _flow(code, alias)["authenticationExecutions"]:
        into = (*FLOWS, alias + suffix, "executions")
        if below := step.get("flowAlias"):
            body = {
                "alias": below + suffix, "type": "basic-flow", "provider": "",
                "description": _flow(code, below).get("description", ""),
            }  # fmt: skip
            live.post(*into, "flow", body=body)
        else:
            live.post(*into, "execution", body={"provider": step["authenticator"]})
        made = live.get(*into)[-1]
        live.put(*into, body={**made, "requirement": step["requirement"]})
        if config := step.get("authenticatorConfig"):
            body = configs[config] | (
                {"alias": f"{config} {uuid.uuid4().hex[:8]}"} if suffix else {}
            )
            # Two configurations may not have one name, which nothing refers to.
            live.post(*EXECUTIONS, made["id"], "config", body=body)
        if below:
            _fill(live, code, below, suffix)


def _rebind(live: LiveRealm, old: str, new: str) -> None:
    """Whatever uses the flow `old` uses `new`."""
    realm = live.get()
    if used := {key: new for key, value in realm.items() if key.endswith("Flow") and value == old}:
        live.put(body=merge(realm, used))
    for provider in live.get("identity-provider", "instances"):
        used = {key: new for key, v in provider.items() if key.endswith("FlowAlias") and v == old}
        if used:
            path = ("identity-provider", "instances", provider["alias"])
            live.put(*path, body={**provider, **used})


def _by_alias(live: LiveRealm, top: str, alias: str) -> Any:
    for flow in live.get(*FLOWS):
        if flow["alias"] == alias:
            return flow
    steps = live.get(*FLOWS, top, "executions")
    (identifier,) = (step["flowId"] for step in steps if step.get("displayName") == alias)
    return live.get(*FLOWS, identifier)


def _below(code: Document, alias: str) -> Iterator[str]:
    for step in _flow(code, alias)["authenticationExecutions"]:
        if below := step.get("flowAlias"):
            yield below
            yield from _below(code, below)


def _flow(code: Document, alias: str) -> dict[str, Any]:
    (found,) = (flow for flow in code["authenticationFlows"] if flow["alias"] == alias)
    return dict(found)
