// Another person's page: who they are, and what they have posted.

import { avatar, el } from './dom.js';

const RELATIONS = [
  ['following', 'followed', 'Follow', 'Unfollow'],
  ['muted', 'muted', 'Mute', 'Unmute'],
  ['blocked', 'blocked', 'Block', 'Unblock'],
];

export class Profile {
  /** `to.home()` goes back, `to.changed()` hears of changes, `to.fail(error)` of errors. */
  constructor(client, name, to) {
    this.client = client;
    this.name = name;
    this.to = to;
    this.element = el('section', { className: 'box profile', 'aria-label': `Profile of ${name}` });
  }

  async load() {
    this.draw(await this.client.request('GET', `/v1/users/${encodeURIComponent(this.name)}`));
  }

  draw(user) {
    const isViewer = user.id === this.client.user.id;
    const relations = isViewer ? [] : RELATIONS;
    this.element.replaceChildren(
      el('button', { type: 'button', className: 'quiet', onclick: () => this.to.home() }, '← Home'),
      el('div', { className: 'row' }, avatar(user.name), el('h2', {}, `@${user.name}`)),
      el('p', { className: 'hint' }, `${user.followers} ${user.followers === 1 ? 'follower' : 'followers'} · follows ${user.following}`),
      el('div', { className: 'row' }, ...relations.map((relation) => this.toggle(user, relation))));
  }

  toggle(user, [relation, state, begin, end]) {
    const on = user[state];
    const act = async () => {
      try {
        this.draw(await this.client.relate(relation, user.name, !on));
        this.to.changed();
      } catch (error) {
        this.to.fail(error);
      }
    };
    return el('button', { type: 'button', 'aria-pressed': String(on), onclick: act }, on ? end : begin);
  }
}
