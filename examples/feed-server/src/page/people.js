// Whom the viewer follows, and a way to follow more.

import { avatar, el } from './dom.js';

export class People {
  /** `to.open(name)` shows a profile, `to.fail(error)` an error. */
  constructor(client, to) {
    this.client = client;
    this.to = to;
    this.field = el('input', {
      id: 'follow', autocomplete: 'off', autocapitalize: 'none', spellcheck: false, maxLength: 30, required: true, placeholder: 'name',
    });
    this.list = el('ul', { className: 'people' });
    this.element = el('section', { className: 'box', 'aria-label': 'Following' },
      el('h2', {}, 'Following'),
      el('form', { className: 'row', onsubmit: (event) => this.follow(event) },
        el('label', { for: 'follow', className: 'unseen' }, 'Name of somebody to follow'),
        this.field, el('button', { type: 'submit', className: 'primary' }, 'Follow')),
      this.list);
  }

  async load() {
    try {
      const { users, total } = await this.client.request('GET', '/v1/me/following');
      const more = total > users.length ? el('li', {}, `and ${total - users.length} more`) : null;
      const lines = users.map((user) => this.line(user));
      if (lines.length === 0) lines.push(el('li', { className: 'hint' }, 'Nobody yet.'));
      this.list.replaceChildren(...lines, ...(more ? [more] : []));
    } catch (error) {
      this.to.fail(error);
    }
  }

  line(user) {
    const open = () => this.to.open(user.name);
    const leave = () => this.relate(user.name, false);
    return el('li', { 'data-name': user.name },
      avatar(user.name),
      el('button', { type: 'button', className: 'name', onclick: open }, `@${user.name}`),
      el('button', { type: 'button', className: 'quiet', 'aria-label': `Unfollow ${user.name}`, onclick: leave }, 'Unfollow'));
  }

  follow(event) {
    event.preventDefault();
    const name = this.field.value.trim().replace(/^@/, '');
    this.field.value = '';
    return this.relate(name, true);
  }

  async relate(name, on) {
    try {
      await this.client.relate('following', name, on);
    } catch (error) {
      this.to.fail(error);
    }
    await this.load();
  }
}
