// One item of a feed on the screen.

import { ago, avatar, el } from './dom.js';

export class Card {
  /** `to` says what to do when a button is pressed. */
  constructor(item, viewer, to) {
    this.item = item;
    this.viewer = viewer;
    this.to = to;
    this.element = el('li', { className: 'card', 'data-id': item.id, 'data-post': item.post.id });
    this.draw();
  }

  get id() {
    return this.item.id;
  }

  get post() {
    return this.item.post;
  }

  /** Shows a newer state of the post. */
  revise(post) {
    this.item.post = post;
    this.draw();
  }

  /** Shows newer counts, and leaves the focus and a text that is being edited alone. */
  count(reactions) {
    const { likes, replies, reposts, liked, reposted } = reactions;
    Object.assign(this.item.post, { likes, replies, reposts, liked, reposted });
    this.showCounts();
  }

  draw() {
    const { post } = this.item;
    this.text = el('p', { className: 'text' }, post.body);
    this.drawActions();
    this.element.replaceChildren(
      avatar(post.author.name),
      el('article', { className: 'content', 'aria-label': `Post by ${post.author.name}` },
        this.drawRepost(), this.drawHead(), this.drawContext(), this.text, this.actions),
    );
  }

  drawRepost() {
    const by = this.item.reposted_by;
    return by && el('p', { className: 'context' }, '⟲ reposted by ', this.name(by));
  }

  drawHead() {
    const { post } = this.item;
    const edited = post.version > 1 ? el('span', { className: 'edited' }, 'edited') : null;
    const when = new Date(post.created_at);
    return el('header', { className: 'head' },
      this.name(post.author),
      el('time', { dateTime: when.toISOString(), title: when.toLocaleString() }, ago(post.created_at)),
      edited,
      this.drawMenu());
  }

  drawContext() {
    const to = this.item.post.reply_to;
    if (!to) return null;
    const name = to.author ? this.name(to.author) : 'somebody';
    return el('p', { className: 'context' }, '↳ in reply to ', name);
  }

  name(account) {
    const open = () => this.to.open(account.name);
    return el('button', { type: 'button', className: 'name', onclick: open }, `@${account.name}`);
  }

  drawMenu() {
    const { post } = this.item;
    const own = post.author.id === this.viewer.id;
    const menu = el('details', { className: 'menu' });
    const entry = (label, act) => el('button', {
      type: 'button',
      onclick: () => {
        menu.open = false;
        act();
      },
    }, label);
    const entries = own
      ? [entry('Edit', () => this.edit()), entry('Delete', () => this.to.remove(this))]
      : [entry(`Mute @${post.author.name}`, () => this.to.mute(post.author.name))];
    menu.append(el('summary', { 'aria-label': 'More' }, '⋯'), el('div', { className: 'entries' }, ...entries));
    return menu;
  }

  drawActions() {
    const action = (kind, act) => {
      const sign = el('span', { className: 'sign', 'aria-hidden': 'true' });
      return el('button', { type: 'button', className: `action ${kind}`, onclick: act }, sign, ' ', el('span', { className: 'count' }));
    };
    this.replies = action('reply', () => this.to.reply(this));
    this.reposts = action('repost', () => this.to.react(this, 'repost'));
    this.likes = action('like', () => this.to.react(this, 'like'));
    this.actions = el('footer', { className: 'actions' }, this.replies, this.reposts, this.likes);
    this.showCounts();
  }

  showCounts() {
    const { likes, replies, reposts, liked, reposted } = this.item.post;
    const show = (button, sign, label, count, isOn) => {
      button.querySelector('.sign').textContent = sign;
      button.querySelector('.count').textContent = String(count);
      button.setAttribute('aria-label', `${label}, ${count}`);
      button.title = label;
      if (isOn !== undefined) button.setAttribute('aria-pressed', String(isOn));
    };
    show(this.replies, '↩', 'Reply', replies);
    show(this.reposts, '⟲', 'Repost', reposts, reposted);
    show(this.likes, liked ? '♥' : '♡', 'Like', likes, liked);
  }

  /** Turns the text into a field. */
  edit() {
    const field = el('textarea', { value: this.item.post.body, 'aria-label': 'Text of the post', rows: 3 });
    const cancel = () => this.draw();
    const form = el('form', {
      className: 'edit',
      onsubmit: (event) => {
        event.preventDefault();
        this.to.revise(this, field.value);
      },
    }, field, el('div', { className: 'row' },
      el('button', { type: 'button', className: 'quiet', onclick: cancel }, 'Cancel'),
      el('button', { type: 'submit', className: 'primary' }, 'Save')));
    this.text.replaceWith(form);
    field.focus();
  }
}
