// Server-sent events over fetch: EventSource cannot send the Authorization header.

import { Problem } from './client.js';

// The server sends a comment every 15 seconds.
const SILENCE = 40_000;
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15_000;

/**
 * Calls `on.event(name, data)` for each event, and `on.state('live' | 'waiting')` when that changes,
 * until `signal` is aborted. Goes on after a lost connection where it was.
 */
export async function listen(client, path, signal, on) {
  let last = null;
  let pause = FIRST_PAUSE;
  while (!signal.aborted) {
    const watchdog = new AbortController();
    const stop = () => watchdog.abort();
    signal.addEventListener('abort', stop);
    let timer = setTimeout(stop, SILENCE);
    try {
      const headers = last ? { 'last-event-id': last } : {};
      const response = await client.fetch('GET', path, undefined, headers, watchdog.signal);
      on.state('live');
      for await (const event of parse(response.body)) {
        clearTimeout(timer);
        timer = setTimeout(stop, SILENCE);
        pause = FIRST_PAUSE;
        if (event.id) last = event.id;
        if (event.data) on.event(event.name, JSON.parse(event.data));
      }
    } catch (error) {
      // The place is not one that the server knows any more: begin anew.
      if (error instanceof Problem && error.status === 400) last = null;
      if (error instanceof Problem && error.status === 401) return on.refused(error);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
      watchdog.abort();
    }
    if (signal.aborted) return undefined;
    on.state('waiting');
    // Not everybody at once, after a restart.
    await rest(pause * (0.5 + Math.random()), signal);
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  }
  return undefined;
}

/** The events of a stream of bytes. A comment is an event without data. */
export async function* parse(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = '';
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      buffer += value.replaceAll('\r\n', '\n');
      let end;
      while ((end = buffer.indexOf('\n\n')) >= 0) {
        yield fields(buffer.slice(0, end));
        buffer = buffer.slice(end + 2);
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function fields(block) {
  const event = { name: 'message', data: '', id: null };
  const data = [];
  for (const line of block.split('\n')) {
    const colon = line.indexOf(':');
    if (colon === 0) continue;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') event.name = value;
    else if (field === 'data') data.push(value);
    else if (field === 'id') event.id = value;
  }
  event.data = data.join('\n');
  return event;
}

function rest(millis, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, millis);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    }, { once: true });
  });
}
