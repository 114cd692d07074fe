// Where a post is written.

import { el } from './dom.js';

// In bytes of UTF-8, as the server counts.
const LONGEST = 8 * 1024;

export class Composer {
  /** `publish({ key, text, parent })` sends, and says whether that has succeeded: then the field is emptied. */
  constructor(publish) {
    this.publish = publish;
    this.parent = null;
    this.draft = null;
    this.isSending = false;
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
    // Whoever empties the field begins anew, if in the same words.
    if (this.field.value === '') this.draft = null;
    const size = new TextEncoder().encode(this.field.value).length;
    this.hint.textContent = size > LONGEST * 0.9 ? `${LONGEST - size} bytes left` : '';
    this.button.disabled = this.isSending || this.field.value.trim() === '' || size > LONGEST;
  }

  /** What is written, under the key that it has had since it was first sent: whether the server has it
   * already is unknown after some failures, and it must not publish it twice. */
  written() {
    const text = this.field.value;
    const parent = this.parent?.id;
    if (this.draft?.text !== text || this.draft.parent !== parent) this.draft = { key: randomKey(), text, parent };
    return this.draft;
  }

  async submit(event) {
    event.preventDefault();
    if (this.button.disabled) return;
    this.isSending = true;
    this.check();
    const draft = this.written();
    if (await this.publish(draft)) this.sent(draft);
    this.isSending = false;
    this.check();
  }

  /** Makes room for the next draft, unless that was begun meanwhile. */
  sent(draft) {
    this.draft = null;
    if (this.field.value !== draft.text || this.parent?.id !== draft.parent) return;
    this.field.value = '';
    this.replyTo(null);
  }
}

function randomKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
