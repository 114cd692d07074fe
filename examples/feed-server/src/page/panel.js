// The feed as one person sees it. `mount` puts it into any page that has panel.css.

import { Client, Problem } from './client.js';
import { Composer } from './composer.js';
import { el } from './dom.js';
import { listen } from './events.js';
import { People } from './people.js';
import { Profile } from './profile.js';
import { Timeline } from './timeline.js';

/** Shows the feed in `root`; the API's paths begin with `base`. */
export function mount(root, base = '') {
  root.classList.add('feed');
  new Panel(root, new Client(base)).start();
}

class Panel {
  constructor(root, client) {
    this.root = root;
    this.client = client;
    this.notice = el('p', { className: 'notice', role: 'alert', hidden: true });
  }

  start() {
    if (this.client.user) this.enter();
    else this.greet();
  }

  greet() {
    const name = el('input', {
      id: 'name', autocomplete: 'username', autocapitalize: 'none', spellcheck: false, maxLength: 30, required: true,
    });
    const enter = async (event) => {
      event.preventDefault();
      await this.try(async () => {
        await this.client.signIn(name.value.trim());
        this.enter();
      });
    };
    this.root.replaceChildren(el('main', { className: 'greeting' },
      el('h1', {}, 'Feed'),
      el('p', {}, 'Choose a name. There is no password: this sign-in stands where an application has its own. Open a second tab to be a second person.'),
      el('form', { className: 'row', onsubmit: enter },
        el('label', { for: 'name', className: 'unseen' }, 'Name'), name,
        el('button', { type: 'submit', className: 'primary' }, 'Sign in')),
      this.notice));
    name.focus();
  }

  enter() {
    this.link = new AbortController();
    this.state = el('span', { className: 'state', role: 'status' });
    this.composer = new Composer((draft) => this.publish(draft));
    this.people = new People(this.client, this.to());
    this.home = new Timeline(this.client, '/v1/me/feed', this.to());
    this.main = el('main', {});
    this.root.replaceChildren(
      el('header', { className: 'bar' },
        el('h1', {}, 'Feed'), this.state,
        el('button', { type: 'button', className: 'name', onclick: () => this.open(this.client.user.name) }, `@${this.client.user.name}`),
        el('button', { type: 'button', className: 'quiet', onclick: () => this.leave() }, 'Sign out')),
      this.notice,
      el('div', { className: 'columns' }, this.main, el('aside', {}, this.people.element)));
    this.showHome();
    this.people.load();
    this.follow();
  }

  leave() {
    this.link.abort();
    this.home.close();
    this.shown?.close();
    this.client.signOut();
    document.title = 'Feed';
    this.greet();
  }

  showHome() {
    this.shown?.close();
    this.shown = null;
    this.main.replaceChildren(this.composer.element, this.orders(false), this.home.element);
  }

  /** Shows the home feed in the order of what people react to, as it is now. */
  async showTop() {
    await this.try(async () => {
      const top = new Timeline(this.client, '/v1/me/feed/top', this.to());
      await top.load();
      this.shown?.close();
      this.shown = top;
      this.main.replaceChildren(this.composer.element, this.orders(true), top.element);
    });
  }

  orders(isTop) {
    const order = (label, isOn, act) => el('button', { type: 'button', 'aria-pressed': String(isOn), onclick: act }, label);
    return el('div', { className: 'row orders', role: 'group', 'aria-label': 'Order' },
      order('Latest', !isTop, () => this.showHome()),
      order('Top', isTop, () => this.showTop()));
  }

  /** Shows a person's page. */
  async open(name) {
    await this.try(async () => {
      const profile = new Profile(this.client, name, this.to());
      const posts = new Timeline(this.client, `/v1/users/${encodeURIComponent(name)}/feed`, this.to());
      await Promise.all([profile.load(), posts.load()]);
      this.shown?.close();
      this.shown = posts;
      this.main.replaceChildren(profile.element, posts.element);
      window.scrollTo(0, 0);
    });
  }

  /** What the parts of the page may ask for. */
  to() {
    return {
      open: (name) => this.open(name),
      home: () => this.showHome(),
      changed: () => this.people.load(),
      fail: (error) => this.fail(error),
      reply: (card) => {
        this.showHome();
        this.composer.replyTo(card.post);
      },
      react: (card, reaction) => this.react(card, reaction),
      revise: (card, text) => this.revise(card, text),
      remove: (card) => this.remove(card),
      mute: (name) => this.try(() => this.client.relate('muted', name, true)),
    };
  }

  each(act) {
    [this.home, this.shown].filter(Boolean).forEach(act);
  }

  async publish(draft) {
    return this.try(async () => {
      const { id, post } = await this.client.publish(draft);
      if (this.shown) this.showHome();
      if (post) this.home.add({ id, reposted_by: null, post }, true);
    });
  }

  async react(card, reaction) {
    const { id, [reaction === 'like' ? 'liked' : 'reposted']: on } = card.post;
    await this.try(async () => {
      const answer = await this.client.react(id, reaction, !on);
      // A repost is answered with the post, everything else with the counts.
      this.each((timeline) => timeline.count(id, answer.post ?? answer));
      if (reaction === 'repost' && !on) {
        const reactions = await this.client.request('GET', `/v1/posts/${id}`);
        this.each((timeline) => timeline.count(id, reactions));
      }
    });
  }

  async revise(card, text) {
    await this.try(async () => {
      const post = await this.client.request('PATCH', `/v1/posts/${card.post.id}`, { body: text });
      this.each((timeline) => timeline.revise(post));
    });
  }

  async remove(card) {
    if (!window.confirm('Delete this post?')) return;
    await this.try(async () => {
      await this.client.request('DELETE', `/v1/posts/${card.post.id}`);
      this.each((timeline) => timeline.remove(card.post.id));
    });
  }

  /** Keeps the home feed up to date. */
  async follow() {
    const { link } = this;
    let { unread } = await this.client.request('GET', '/v1/me/feed/unread').catch(() => ({ unread: 0 }));
    await listen(this.client, '/v1/me/feed/live', link.signal, {
      state: (state) => {
        this.state.textContent = state === 'live' ? 'live' : 'connecting…';
        this.state.dataset.state = state;
      },
      refused: () => this.leave(),
      event: (name, data) => {
        this.apply(name, data, unread);
        if (name === 'reset') unread = 0;
        this.markRead();
      },
    });
  }

  apply(name, data, unread) {
    if (name === 'reset') this.home.reset(data, unread);
    else if (name === 'added') this.home.add(data);
    else if (name === 'revised') this.each((timeline) => timeline.revise(data.post));
    else if (name === 'removed') this.each((timeline) => timeline.remove(data.id));
    else if (name === 'reactions') this.each((timeline) => timeline.count(data.post, data));
  }

  /** What is on a visible page has been read. */
  markRead() {
    const { newest } = this.home;
    if (document.hidden) {
      this.unseen = (this.unseen ?? 0) + 1;
      document.title = `(${this.unseen}) Feed`;
      document.addEventListener('visibilitychange', () => this.markRead(), { once: true });
      return;
    }
    this.unseen = 0;
    document.title = 'Feed';
    if (!newest || newest === this.marked) return;
    this.marked = newest;
    this.client.request('PUT', '/v1/me/feed/marker', { post: newest }).catch(() => {});
  }

  /** Does something, and says whether it succeeded. */
  async try(act) {
    try {
      await act();
      this.notice.hidden = true;
      return true;
    } catch (error) {
      this.fail(error);
      return false;
    }
  }

  fail(error) {
    this.notice.textContent = error instanceof Problem ? error.message : 'The server does not answer.';
    this.notice.hidden = false;
    if (!(error instanceof Problem)) console.error(error);
    if (error instanceof Problem && error.status === 401) this.leave();
  }
}
