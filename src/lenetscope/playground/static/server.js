/** Requests to the playground's server, of which the latest of each kind wins, and what it tells by itself. */
import { TEXTS } from "./texts.js";

const waiting = new Map();

/** An answer that was refused, with the server's reason, or overtaken by a newer request (`isLate`). */
export class AnswerError extends Error {
  constructor(message, isLate = false) {
    super(message);
    this.isLate = isLate;
  }
}

/**
 * Ask the server; a request of the same kind that is not answered yet is given up.
 * @param name of the request, see `lenetscope.playground.answers`
 * @param kind what replaces what; by default all requests of a name replace each other
 * @returns an object, or an ArrayBuffer where the answer is bytes
 */
export async function ask(name, fields = {}, kind = name) {
  waiting.get(kind)?.abort();
  const control = new AbortController();
  waiting.set(kind, control);
  try {
    const response = await fetch(`/api/${name}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(fields),
      signal: control.signal,
    });
    const isBytes = response.headers.get("content-type") === "application/octet-stream";
    if (isBytes) return await response.arrayBuffer();
    const answer = await response.json();
    if (!response.ok) throw new AnswerError(answer.error);
    return answer;
  } catch (error) {
    if (error instanceof AnswerError) throw error;
    throw new AnswerError(control.signal.aborted ? "" : TEXTS.lost, control.signal.aborted);
  } finally {
    if (waiting.get(kind) === control) waiting.delete(kind);
  }
}

/** Bytes as base64, for a request. */
export function base64(bytes) {
  let text = "";
  for (let start = 0; start < bytes.length; start += 4096)
    text += String.fromCharCode(...bytes.subarray(start, start + 4096));
  return btoa(text);
}

let source = null;

/** Call a function with each event of a kind that the server sends. */
export function listen(kind, heard) {
  source ??= new EventSource("/api/events");
  source.addEventListener(kind, (event) => heard(JSON.parse(event.data)));
}
