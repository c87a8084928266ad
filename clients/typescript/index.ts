// The types of Meshwright's REST API, and a middleware of openapi-fetch that authorizes each call.

import type { Middleware } from "openapi-fetch";

export type { components, operations, paths } from "./schema.js";

/** A refusal of the token endpoint: an `error` of RFC 6749, section 5.2, and its description. */
export class TokenRefused extends Error {
  override readonly name = "TokenRefused";

  constructor(
    readonly error: string,
    readonly description: string,
  ) {
    super(description ? `${error}: ${description}` : error);
  }
}

/** Where access tokens come from. `Tokens` is one; so is a library for the authorization code flow, wrapped. */
export interface TokenSource {
  /** Returns a valid access token. */
  accessToken(): Promise<string>;
  /** Is called with a token that the API has rejected. */
  forget?(accessToken: string): void;
}

/** Returns a middleware that adds an access token to each call. After a response 401 the next call gets a new one. */
export function authorize(tokens: TokenSource): Middleware {
  return {
    async onRequest({ request }) {
      request.signal.throwIfAborted();
      const token = await unlessAborted(tokens.accessToken(), request.signal);
      request.headers.set("authorization", `Bearer ${token}`);
      return request;
    },
    onResponse({ request, response }) {
      if (response.status === 401) {
        tokens.forget?.((request.headers.get("authorization") ?? "").replace("Bearer ", ""));
      }
    },
  };
}

/** Waits for a result until the signal aborts. The work goes on, because other calls may wait for it, too. */
function unlessAborted<T>(result: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    result.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

const TIMEOUT_MS = 10_000;
const MARGIN_MS_MAX = 30_000;
/** The lifetime of a token whose response says none: `expires_in` is only recommended (RFC 6749, section 5.1). */
const LIFETIME_S = 300;

interface Token {
  access_token: string;
  expires_in?: unknown;
  refresh_token?: unknown;
}

/**
 * The access tokens of one user or workload, obtained when needed and replaced before they expire. Concurrent callers
 * share one request to the token endpoint.
 */
export class Tokens implements TokenSource {
  readonly #url: string;
  readonly #grant: Record<string, string>;
  #current: Promise<string> | undefined;
  #accessToken = "";
  #refreshToken = "";
  #replaceAt = 0;

  private constructor(url: string, grant: Record<string, string>) {
    this.#url = url;
    this.#grant = grant;
  }

  /** Returns the tokens of a user, with all scopes that the user may have if `scope` names none. */
  static byPassword(url: string, username: string, password: string, scope = ""): Tokens {
    return new Tokens(url, { grant_type: "password", username, password, ...(scope && { scope }) });
  }

  /** Returns the tokens of a workload. A secret has no place in a browser. */
  static byClientCredentials(url: string, clientId: string, clientSecret: string, scope = ""): Tokens {
    const client = { client_id: clientId, client_secret: clientSecret };
    return new Tokens(url, { grant_type: "client_credentials", ...client, ...(scope && { scope }) });
  }

  /** Returns a valid access token. Rejects with TokenRefused, with an Error for no token, or as `fetch` does. */
  accessToken(): Promise<string> {
    if (this.#accessToken && Date.now() < this.#replaceAt) {
      return Promise.resolve(this.#accessToken);
    }
    this.#current ??= this.#next().finally(() => (this.#current = undefined));
    return this.#current;
  }

  forget(accessToken: string): void {
    if (accessToken === this.#accessToken) {
      this.#accessToken = "";
    }
  }

  async #next(): Promise<string> {
    const token = (await this.#refreshed()) ?? (await this.#request(this.#grant));
    const lifetimeMs = lifetimeS(token) * 1000;
    this.#accessToken = token.access_token;
    this.#refreshToken = typeof token.refresh_token === "string" ? token.refresh_token : "";
    this.#replaceAt = Date.now() + lifetimeMs - Math.min(MARGIN_MS_MAX, lifetimeMs / 4);
    return this.#accessToken;
  }

  /** Returns the next token by the refresh token, which serves once; undefined if there is none or it is refused. */
  async #refreshed(): Promise<Token | undefined> {
    const refreshToken = this.#refreshToken;
    if (!refreshToken) {
      return undefined;
    }
    this.#refreshToken = "";
    try {
      return await this.#request({ grant_type: "refresh_token", refresh_token: refreshToken });
    } catch (error) {
      if (error instanceof TokenRefused) {
        return undefined;
      }
      throw error;
    }
  }

  async #request(form: Record<string, string>): Promise<Token> {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const response = await fetch(this.#url, { method: "POST", body: new URLSearchParams(form), signal });
    const answer = parsed(await response.text());
    if (response.ok && typeof answer.access_token === "string" && answer.access_token) {
      return { ...answer, access_token: answer.access_token };
    }
    if (!response.ok && typeof answer.error === "string") {
      const description = answer.error_description;
      throw new TokenRefused(answer.error, typeof description === "string" ? description : "");
    }
    throw new Error(`The token endpoint responded with HTTP ${response.status} and no token.`);
  }
}

/** Returns `expires_in`, which some endpoints send as text. */
function lifetimeS(token: Token): number {
  const seconds = parseFloat(String(token.expires_in));
  return Number.isFinite(seconds) ? seconds : LIFETIME_S;
}

/** Returns a JSON object, an empty one for anything else. */
function parsed(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}
