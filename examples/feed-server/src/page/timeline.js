// A list of cards, newest first, that grows at both ends.

import { Card } from './card.js';
import { el, isNewer } from './dom.js';

export class Timeline {
  /** `path` is where pages come from; `to` is what cards do. */
  constructor(client, path, to) {
    this.client = client;
    this.path = path;
    this.to = to;
    this.cards = [];
    this.waiting = [];
    this.next = null;
    this.list = el('ol', { className: 'cards', 'aria-label': 'Posts' });
    this.news = el('button', { type: 'button', className: 'news', hidden: true, onclick: () => this.showWaiting() });
    this.end = el('p', { className: 'end' });
    this.element = el('div', { className: 'timeline' }, this.news, this.list, this.end);
    this.observer = new IntersectionObserver((seen) => {
      if (seen.some((one) => one.isIntersecting)) this.more();
    }, { rootMargin: '600px' });
    this.observer.observe(this.end);
  }

  close() {
    this.observer.disconnect();
  }

  get newest() {
    return this.cards[0]?.id;
  }

  /** Fetches the first page. */
  async load() {
    this.reset(await this.client.request('GET', this.path));
  }

  /** Shows this page instead of everything, with a line below the first `unread` items. */
  reset(page, unread = 0) {
    this.cards = page.items.map((item) => this.card(item));
    this.waiting = [];
    this.next = page.next;
    const elements = this.cards.map((card) => card.element);
    if (unread > 0 && unread < elements.length) elements.splice(unread, 0, el('li', { className: 'line' }, 'read before'));
    this.list.replaceChildren(...elements);
    this.announce();
    this.sayEnd();
    this.watchEnd();
  }

  /** Adds an item in its place, or keeps it back while the reader is further down. */
  add(item, atOnce = false) {
    if (this.has(item.id)) return;
    const isNewest = !this.newest || isNewer(item.id, this.newest);
    if (isNewest && !atOnce && window.scrollY > 240) {
      this.waiting.push(item);
      this.announce();
      return;
    }
    this.insert(item);
  }

  has(id) {
    return this.cards.some((card) => card.id === id) || this.waiting.some((item) => item.id === id);
  }

  insert(item) {
    const at = this.cards.findIndex((card) => isNewer(item.id, card.id));
    // What is older than all that was loaded comes when the reader gets there.
    if (at < 0 && this.next) return;
    const card = this.card(item);
    card.element.classList.add('fresh');
    if (at < 0) {
      this.cards.push(card);
      this.list.append(card.element);
    } else {
      this.cards[at].element.before(card.element);
      this.cards.splice(at, 0, card);
    }
    this.sayEnd();
  }

  showWaiting() {
    const items = this.waiting;
    this.waiting = [];
    items.forEach((item) => this.insert(item));
    this.announce();
    window.scrollTo({ top: 0, behavior: 'smooth' });
    this.list.querySelector('button')?.focus({ preventScroll: true });
  }

  /** Takes the entry away, and what shows the same post. */
  remove(id) {
    const gone = (item) => item.id === id || item.post.id === id;
    this.waiting = this.waiting.filter((item) => !gone(item));
    this.cards = this.cards.filter((card) => {
      if (gone(card.item)) card.element.remove();
      return !gone(card.item);
    });
    this.announce();
    this.sayEnd();
  }

  revise(post) {
    this.of(post.id).forEach((card) => card.revise({ ...post }));
    this.waiting.filter((item) => item.post.id === post.id).forEach((item) => Object.assign(item.post, post));
  }

  count(id, reactions) {
    this.of(id).forEach((card) => card.count(reactions));
    this.waiting.filter((item) => item.post.id === id).forEach((item) => Object.assign(item.post, reactions));
  }

  of(post) {
    return this.cards.filter((card) => card.post.id === post);
  }

  /** Fetches the next older page. */
  async more() {
    if (!this.next || this.isLoading) return;
    this.isLoading = true;
    try {
      const page = await this.client.request('GET', `${this.path}?cursor=${encodeURIComponent(this.next)}`);
      this.next = page.next;
      for (const item of page.items.filter((one) => !this.has(one.id))) {
        const card = this.card(item);
        this.cards.push(card);
        this.list.append(card.element);
      }
      this.watchEnd();
    } catch (error) {
      // The order of the pages before is not kept any more.
      if (error.status === 410) await this.load().catch(this.to.fail);
      else this.to.fail(error);
    } finally {
      this.isLoading = false;
      this.sayEnd();
    }
  }

  /** Asks anew whether the end is in view: the observer tells of changes only, and misses one that a
   * scroll takes back before the next frame. */
  watchEnd() {
    this.observer.unobserve(this.end);
    this.observer.observe(this.end);
  }

  card(item) {
    return new Card(item, this.client.user, this.to);
  }

  announce() {
    const count = this.waiting.length;
    this.news.hidden = count === 0;
    this.news.textContent = count === 1 ? '1 new post' : `${count} new posts`;
  }

  sayEnd() {
    if (this.next) this.end.textContent = '…';
    else if (this.cards.length === 0) this.end.textContent = 'Nothing here yet. Write something, or follow somebody.';
    else this.end.textContent = 'You have seen everything.';
  }
}
