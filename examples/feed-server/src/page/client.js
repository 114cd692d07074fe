// The API, for one signed-in person. Each tab is a person of its own: sessionStorage ends with it.

const KEPT = 'feed.session';

/** A problem body (RFC 9457) as an exception. */
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail ? `${body.title} (${body.detail})` : body.title);
    this.status = status;
    this.type = body.type;
  }
}

export class Client {
  constructor(base = '') {
    this.base = base;
    this.session = JSON.parse(sessionStorage.getItem(KEPT) ?? 'null');
  }

  get user() {
    return this.session?.user;
  }

  async signIn(name) {
    this.session = await this.request('POST', '/v1/session', { name });
    sessionStorage.setItem(KEPT, JSON.stringify(this.session));
  }

  signOut() {
    this.session = null;
    sessionStorage.removeItem(KEPT);
  }

  /** Publishes a draft: once under its key, however often this is called. */
  async publish({ key, text, parent }) {
    const body = parent ? { body: text, reply_to: parent } : { body: text };
    const headers = { 'idempotency-key': key };
    const attempt = () => this.request('POST', '/v1/me/feed', body, headers);
    try {
      return await attempt();
    } catch (error) {
      if (error instanceof Problem) throw error;
      return attempt();
    }
  }

  /** One of follow, mute, block: `PUT` to begin, `DELETE` to end. */
  relate(relation, name, on) {
    return this.request(on ? 'PUT' : 'DELETE', `/v1/me/${relation}/${encodeURIComponent(name)}`);
  }

  /** One of like, repost. */
  react(post, reaction, on) {
    return this.request(on ? 'PUT' : 'DELETE', `/v1/posts/${post}/${reaction}`);
  }

  async request(method, path, body, headers = {}) {
    const response = await this.fetch(method, path, body, headers);
    if (response.status === 204) return null;
    return response.json();
  }

  /** An answer that is not a problem. */
  async fetch(method, path, body, headers = {}, signal = undefined) {
    const all = { ...headers };
    if (this.session) all.authorization = `Bearer ${this.session.token}`;
    if (body !== undefined) all['content-type'] = 'application/json';
    const response = await fetch(this.base + path, {
      method,
      headers: all,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
    });
    if (response.ok) return response;
    const problem = await response.json().catch(() => ({ title: response.statusText }));
    throw new Problem(response.status, problem);
  }
}
