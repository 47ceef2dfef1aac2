/** What all parts of the page share: the data, numbers in words, elements, colours, the tip under the pointer. */
const report = {
  data: JSON.parse(document.getElementById('data').textContent),
  /** The entry shown, and the dispatch whose kernel is. */
  entry: '',
  dispatch: 0,
};

report.kernel = (name) => report.data.kernels.find((kernel) => kernel.name === name);

/** Four families, four colours. */
report.FAMILIES = {
  product: 'product',
  attention: 'attention',
  row: 'rows',
  map: 'pointwise',
};
report.familyOf = (kernel) => report.kernel(kernel).family.split('-')[0];
report.color = (kernel) => `--family: var(--${report.familyOf(kernel)})`;

report.si = (value, unit = '') => {
  const units = ['', 'k', 'M', 'G', 'T', 'P'];
  let i = 0;
  while (value >= 999.5 && i < units.length - 1) {
    value /= 1000;
    i++;
  }
  const digits = i === 0 ? String(Math.round(value)) : value >= 99.95 ? value.toFixed(0) : value.toPrecision(3);
  return [digits, units[i] + unit].join('\u2009').trim();
};
report.percent = (share) => `${(share * 100).toFixed(1)} %`;
report.plural = (n, one, many = `${one}s`) => `${n.toLocaleString('en-US')} ${n === 1 ? one : many}`;

/** An element with attributes and children; text is never read as markup. */
report.make = (name, attributes = {}, ...children) => {
  const isSvg = report.SVG.has(name);
  const made = isSvg ? document.createElementNS('http://www.w3.org/2000/svg', name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) made.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== false) made.setAttribute(key, value);
  }
  made.append(...children.flat().filter((child) => child !== undefined));
  return made;
};
report.SVG = new Set(['svg', 'g', 'rect', 'text', 'path', 'line', 'circle', 'marker', 'defs', 'title']);

report.byId = (id) => document.getElementById(id);
report.fill = (id, ...children) => report.byId(id).replaceChildren(...children.flat());

report.tip = (event, ...content) => {
  const tip = report.byId('tip');
  tip.replaceChildren(...content);
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const [right, bottom] = [event.clientX + 14 + width > innerWidth, event.clientY + 14 + height > innerHeight];
  tip.style.left = `${right ? event.clientX - 14 - width : event.clientX + 14}px`;
  tip.style.top = `${bottom ? event.clientY - 14 - height : event.clientY + 14}px`;
};
report.hideTip = () => {
  report.byId('tip').hidden = true;
};
