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

/** What is under way, for all to hear. */
export function say(text) {
  $('status').textContent = text;
}

/** What went wrong, why, and what can be done about it. */
export function showProblem(error) {
  const { what, where, why, fix } = error;
  const lines = what === undefined ? [String(error?.message ?? error)] : [where ? `${where}: ${what}` : what];
  const parts = [made('strong', {}, lines[0])];
  if (why) parts.push(made('p', {}, why));
  if (fix) parts.push(made('p', { class: 'fix' }, fix));
  $('problem').replaceChildren(...parts);
  $('problem').hidden = false;
}

export function clearProblem() {
  $('problem').hidden = true;
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
  ms < 10_000 ? `${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)} ms` : `${(ms / 1000).toFixed(1)} s`;
