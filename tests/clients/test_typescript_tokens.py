"""The access tokens of the client package for TypeScript, in programs that Node.js runs."""

import subprocess
import sysconfig
from pathlib import Path
from typing import Final

import pytest

from tools.clients.typescript_package import TOOLS, build_package

NODE: Final = Path(sysconfig.get_path("scripts"), "node")
DOCUMENT: Final = {"openapi": "3.1.0", "info": {"title": "T", "version": "1"}, "paths": {}}
HEAD: Final = """
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import { authorize, Tokens, TokenRefused } from "./index.js";

const hung = new Promise(() => {});
const forms = [];
const sent = [];
let answers = [];

/** Returns a response of the token endpoint. */
function said(body, status = 200) {
  return new Response(typeof body === "string" ? body : JSON.stringify(body), { status });
}

globalThis.fetch = async (input, { body, signal } = {}) => {
  if (input instanceof Request) {
    sent.push(input.headers.get("authorization"));
    return Response.json({});
  }
  forms.push(body.get("grant_type"));
  const answer = answers.shift() ?? { access_token: `token-${forms.length}`, expires_in: 3600 };
  if (answer === hung) {
    return new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
  }
  return answer instanceof Response ? answer : said(answer);
};

const tokens = Tokens.byPassword("http://localhost/token", "ada", "secret");
const client = createClient({ baseUrl: "http://localhost" });
client.use(authorize(tokens));
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the package, with the library that its middleware is for."""
    folder = build_package("1.2.3", DOCUMENT, tmp_path_factory.mktemp("typescript") / "package")
    (folder / "node_modules").symlink_to(TOOLS / "node_modules")
    return folder


def run(package: Path, program: str) -> None:
    """Runs a program after HEAD, and fails with its output if it fails or waits for what never comes."""
    (package / "program.mjs").write_text(f"{HEAD}{program}")
    done = subprocess.run(
        (NODE, "program.mjs"),
        cwd=package,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout  # 13 if a promise at the top is never settled


def test_an_endpoint_that_does_not_respond(package: Path) -> None:
    """A request for a token has a time limit, after which the next call makes another one."""
    run(
        package,
        """
const limits = [];
AbortSignal.timeout = (ms) => {
  limits.push(ms);
  return AbortSignal.abort(new DOMException("It is late.", "TimeoutError"));
};
globalThis.fetch = ((given) => async (input, init) => {
  init?.signal?.throwIfAborted();
  return given(input, init);
})(globalThis.fetch);
answers = [hung];
await assert.rejects(client.GET("/x"), { name: "TimeoutError" });
await assert.rejects(client.GET("/x"), { name: "TimeoutError" });
assert.deepEqual(limits, [10_000, 10_000]);
""",
    )


def test_a_call_that_is_aborted_while_it_waits_for_a_token(package: Path) -> None:
    """Its caller goes on at once, and the calls that wait for the same token get it."""
    run(
        package,
        """
let respond;
answers = [new Promise((resolve) => (respond = resolve))];
globalThis.fetch = ((given) => async (input, init) => {
  const answer = answers[0];
  if (!(input instanceof Request) && answer instanceof Promise) {
    answers = [await answer];
  }
  return given(input, init);
})(globalThis.fetch);
const controller = new AbortController();
const aborted = client.GET("/x", { signal: controller.signal });
const other = client.GET("/x");
controller.abort();
await assert.rejects(aborted, { name: "AbortError" });
respond({ access_token: "a", expires_in: 3600 });
await other;
assert.deepEqual([forms, sent], [["password"], ["Bearer a"]]);
""",
    )


def test_an_aborted_call_signs_nobody_in(package: Path) -> None:
    """A call that was aborted before asks for no token."""
    run(
        package,
        """
await assert.rejects(client.GET("/x", { signal: AbortSignal.abort() }), { name: "AbortError" });
assert.deepEqual(forms, []);
""",
    )


@pytest.mark.parametrize("expires_in", ["undefined", "null", '"soon"', '"3600"'])
def test_a_token_without_a_lifetime_serves_for_more_than_a_call(package: Path, expires_in: str) -> None:
    """`expires_in` may be missing (RFC 6749, section 5.1), and a null instead of a refresh token is none."""
    run(
        package,
        f"""
answers = [{{ access_token: "a", refresh_token: null, expires_in: {expires_in} }}];
assert.equal(await tokens.accessToken(), "a");
assert.equal(await tokens.accessToken(), "a");
tokens.forget("a");
assert.equal(await tokens.accessToken(), "token-2");
assert.deepEqual(forms, ["password", "password"]);
""",
    )


@pytest.mark.parametrize(
    "wrong",
    [
        'said("<html>Welcome</html>")',
        "said({ expires_in: 60 })",
        'said({ access_token: "" })',
        'said("null")',
        'said({ error: { code: 404, message: "No." } }, 404)',
    ],
)
def test_a_response_that_is_none_of_oauth(package: Path, wrong: str) -> None:
    """It is neither a token nor a refusal, and a refresh that gets it is not taken for a refused one."""
    run(
        package,
        f"""
answers = [{{ access_token: "a", refresh_token: "r", expires_in: 0 }}, {wrong}];
await tokens.accessToken();
const caught = await tokens.accessToken().catch((error) => error);
assert.match(caught.message, /^The token endpoint responded with HTTP [24]0[04] and no token\\.$/);
assert(!(caught instanceof TokenRefused));
assert.deepEqual(forms, ["password", "refresh_token"]);
assert.equal(await tokens.accessToken(), "token-3");
""",
    )


def test_a_refusal_is_named(package: Path) -> None:
    """It rejects with the code and the description of the endpoint."""
    run(
        package,
        """
answers = [said({ error: "invalid_grant", error_description: "It is wrong." }, 400)];
const caught = await tokens.accessToken().catch((error) => error);
assert(caught instanceof TokenRefused);
assert.deepEqual([caught.error, caught.description], ["invalid_grant", "It is wrong."]);
""",
    )
