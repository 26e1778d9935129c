// The phone's API. Every failure is a Refused with the server's code.

const TIMEOUT = 20_000;

export class Refused extends Error {
  constructor(status, code) {
    super(code);
    this.status = status;
    this.code = code;
  }
}

/** Send JSON, get JSON. Throws Refused; code `unavailable` when there was no answer. */
export async function call(method, path, body = undefined) {
  const headers = { "Accept-Language": document.documentElement.lang }; // the page's, which may not be the browser's
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(`/api${path}`, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
      cache: "no-store",
      signal: AbortSignal.timeout(TIMEOUT),
    });
  } catch {
    throw new Refused(0, "unavailable");
  }
  if (response.status === 204) return {};
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(response.status, answer.code ?? "other");
  return answer;
}
