/** What the parts of the page share: its elements, what it says, and files that it gives. */

export const $ = (id) => document.getElementById(id);

/** A new element with its attributes and what is in it. */
export function made(tag, attributes = {}, ...content) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...content);
  return element;
}

/** What the build says of this folder: runtime.js checked it when it loaded the model. */
export async function modelFile() {
  const response = await fetch(new URL('model.json', import.meta.url));
  if (!response.ok)
    throw new Error(`${response.url} cannot be fetched again: the server answers ${response.status}; reload the page`);
  return response.json();
}

/** How a part of the page gets on: what it does, how far that is, and what went wrong. */
export class Report {
  #bar;
  #status;
  #problem;

  /** Of the part that has these three in it. */
  constructor(part) {
    this.#bar = part.querySelector('.bar');
    this.#status = part.querySelector('.status');
    this.#problem = part.querySelector('.problem');
  }

  /** What is under way, for all to hear. */
  say(text) {
    this.#status.textContent = text;
  }

  /** How much of it is done, of 1; there is no bar where that is not told. */
  show(share) {
    this.#bar.hidden = share === undefined;
    this.#bar.querySelector('progress').value = share ?? 0;
  }

  /** What went wrong, why, and what can be done about it. */
  fail(error) {
    const { what, where, why, fix } = error;
    const line = what === undefined ? String(error?.message ?? error) : where ? `${where}: ${what}` : what;
    const parts = [made('strong', {}, line)];
    if (why) parts.push(made('p', {}, why));
    if (fix) parts.push(made('p', { class: 'fix' }, fix));
    this.say('');
    this.#problem.replaceChildren(...parts);
    this.#problem.hidden = false;
  }

  /** What went wrong is past. */
  clear() {
    this.#problem.hidden = true;
  }
}

/** How many samples the entries draw at once, and of how many classes they are; one where the model knows none. */
export function samplesOf({ entries, states }) {
  const { inputs = [], prelude } = entries.sampleStep;
  const y = [...inputs, ...(entries[prelude]?.inputs ?? [])].find(({ name }) => name === 'y');
  const [batch] = states.find(({ name }) => name === 'x').shape;
  return { batch, classes: y?.range?.[1] ?? 1 };
}

/** Rows of a description list, replaced. */
export function describe(list, facts) {
  const rows = Object.entries(facts).map(([name, value]) =>
    made('div', {}, made('dt', {}, name), made('dd', {}, String(value))),
  );
  list.replaceChildren(...rows);
}

/** Lets the visitor keep a file. */
export function saveFile(name, blob) {
  const link = made('a', { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

const UNITS = ['bytes', 'KiB', 'MiB', 'GiB'];

export function bytesText(bytes) {
  const unit = Math.min(UNITS.length - 1, bytes ? Math.floor(Math.log2(bytes) / 10) : 0);
  return `${(bytes / 1024 ** unit).toFixed(unit ? 1 : 0)} ${UNITS[unit]}`;
}

export const timeText = (ms) =>
  ms < 1000 ? `${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)} ms` : `${(ms / 1000).toFixed(1)} s`;

/** How much of `total` is done. */
export const shareOf = (done, total) => (total ? done / total : 0);
