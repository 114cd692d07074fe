// Tabs, each filled by a module of its own when it is first shown.

const list = document.getElementById('tabs');
const panels = document.getElementById('panels');
const tabs = await (await fetch('/tabs.json')).json();

for (const tab of tabs) {
  tab.button = Object.assign(document.createElement('button'), { type: 'button', id: `tab-${tab.name}`, textContent: tab.title });
  tab.button.setAttribute('role', 'tab');
  tab.button.setAttribute('aria-controls', `panel-${tab.name}`);
  tab.button.addEventListener('click', () => { location.hash = tab.name; });
  tab.panel = Object.assign(document.createElement('div'), { id: `panel-${tab.name}`, hidden: true });
  tab.panel.setAttribute('role', 'tabpanel');
  tab.panel.setAttribute('aria-labelledby', tab.button.id);
  list.append(tab.button);
  panels.append(tab.panel);
}

list.addEventListener('keydown', (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const at = tabs.findIndex((tab) => tab.button === document.activeElement);
  const next = tabs[(at + step + tabs.length) % tabs.length];
  next.button.focus();
  next.button.click();
});

function show() {
  const shown = tabs.find((tab) => `#${tab.name}` === location.hash) ?? tabs[0];
  for (const tab of tabs) {
    const isShown = tab === shown;
    tab.button.setAttribute('aria-selected', String(isShown));
    tab.button.tabIndex = isShown ? 0 : -1;
    tab.panel.hidden = !isShown;
  }
  fill(shown);
}

async function fill(tab) {
  if (tab.isFilled) return;
  tab.isFilled = true;
  document.head.append(Object.assign(document.createElement('link'), { rel: 'stylesheet', href: tab.style }));
  const { mount } = await import(tab.module);
  const root = document.createElement('div');
  tab.panel.append(root);
  mount(root);
}

window.addEventListener('hashchange', show);
show();
