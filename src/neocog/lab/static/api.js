// The lab's HTTP API. Of requests under one name the latest wins: an earlier one is dropped.

import { html } from "./dom.js";

const running = new Map();

/** The address of a page that was saved to a file, such as #/plane?stride=2; null where there is a server. */
export const saved = document.querySelector("meta[name='neocog-page']")?.content ?? null;

/** The answer to a GET, or if there is a body to a POST: of JSON, or of a picture (a Blob) as it is. */
export async function ask(path, body, name = path) {
  running.get(name)?.abort();
  const control = new AbortController();
  running.set(name, control);
  const raw = body instanceof Blob;
  const response = await fetch(`/api/v1/${path}`, {
    method: body === undefined ? "GET" : "POST",
    headers: body === undefined ? {} : { "Content-Type": raw ? body.type || "application/octet-stream" : "application/json" },
    body: body === undefined || raw ? body : JSON.stringify(body),
    signal: control.signal,
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

/**
 * A line that says whether what the page computed equals what the library gives.
 *
 * `line.compare(path, body, difference, key)` asks once the same question has stood for `pause` milliseconds. A
 * body that takes long to make is given as a function, with a key that tells one question from another.
 */
export function agreement(pause = 0) {
  const line = html("p", { class: "agrees", role: "status" });
  let asked = "", waiting;
  line.compare = (path, body, difference, key = JSON.stringify(body)) => {
    if (saved !== null || key === asked) return;
    asked = key;
    clearTimeout(waiting);
    waiting = setTimeout(() => compared(path, body, difference), pause);
  };
  line.forget = () => {
    clearTimeout(waiting);
    running.get(line)?.abort();
    asked = line.textContent = "";
    delete line.dataset.state;
  };
  if (saved !== null) line.textContent = "a saved page: not held beside the library";

  async function compared(path, body, difference) {
    try {
      const far = difference(await ask(path, typeof body === "function" ? body() : body, line));
      line.dataset.state = far <= 1e-6 ? "yes" : "no";
      line.textContent = far <= 1e-6 ? "equals the library's output" : `differs from the library's output by ${far.toPrecision(2)}`;
    } catch (error) {
      if (error.name === "AbortError") return;
      line.dataset.state = "no";
      line.textContent = error.message;
    }
  }
  return line;
}

/** The largest difference between two lists of numbers, or lists of lists. */
export function farthest(ours, theirs) {
  const a = ours.flat(), b = theirs.flat();
  if (a.length !== b.length) return Infinity;
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);
}
