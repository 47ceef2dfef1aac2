/** Tabs, as the keyboard and screen readers expect them: arrows move, Home and End too, one is in the order of Tab. */
import { $ } from './shared.js';

/** Opens `first`; those that are not `offered` are not shown. */
export function openTabs(first, offered) {
  const names = Object.keys(offered).filter((name) => offered[name]);
  for (const name of Object.keys(offered)) $(`tab-${name}`).hidden = !offered[name];
  const select = (name, focus = true) => {
    for (const other of Object.keys(offered)) {
      const tab = $(`tab-${other}`);
      tab.setAttribute('aria-selected', other === name);
      tab.tabIndex = other === name ? 0 : -1;
      $(other).hidden = other !== name;
    }
    if (focus) $(`tab-${name}`).focus();
  };
  for (const [i, name] of names.entries()) {
    const tab = $(`tab-${name}`);
    tab.addEventListener('click', () => select(name));
    tab.addEventListener('keydown', ({ key }) => {
      const to = { ArrowRight: i + 1, ArrowLeft: i - 1 + names.length, Home: 0, End: names.length - 1 }[key];
      if (to !== undefined) select(names[to % names.length]);
    });
  }
  $('tabs').hidden = names.length < 2;
  select(first, false);
}
