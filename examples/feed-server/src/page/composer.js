// Where a post is written.

import { el } from './dom.js';

// In bytes of UTF-8, as the server counts.
const LONGEST = 8 * 1024;

export class Composer {
  /** `publish(text, replyTo)` sends; the field is emptied once it has succeeded. */
  constructor(publish) {
    this.publish = publish;
    this.parent = null;
    this.field = el('textarea', { id: 'composer', rows: 3, placeholder: 'What is new?', required: true, oninput: () => this.check() });
    this.field.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) this.element.requestSubmit();
    });
    this.context = el('p', { className: 'context', hidden: true });
    this.hint = el('span', { className: 'hint' });
    this.button = el('button', { type: 'submit', className: 'primary', disabled: true }, 'Post');
    this.element = el('form', { className: 'composer', onsubmit: (event) => this.submit(event) },
      el('label', { for: 'composer', className: 'unseen' }, 'Write a post'),
      this.context, this.field, el('div', { className: 'row' }, this.hint, this.button));
  }

  replyTo(post) {
    this.parent = post;
    this.context.hidden = !post;
    if (!post) return this.context.replaceChildren();
    const cancel = el('button', { type: 'button', className: 'quiet', onclick: () => this.replyTo(null) }, 'not a reply');
    this.context.replaceChildren(`↳ in reply to @${post.author.name} `, cancel);
    this.element.scrollIntoView({ block: 'center' });
    return this.field.focus();
  }

  check() {
    const size = new TextEncoder().encode(this.field.value).length;
    this.hint.textContent = size > LONGEST * 0.9 ? `${LONGEST - size} bytes left` : '';
    this.button.disabled = this.field.value.trim() === '' || size > LONGEST;
  }

  async submit(event) {
    event.preventDefault();
    if (this.button.disabled) return;
    this.button.disabled = true;
    if (await this.publish(this.field.value, this.parent?.id)) {
      this.field.value = '';
      this.replyTo(null);
    }
    this.check();
  }
}
