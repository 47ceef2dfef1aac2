/** Puts the page together, and keeps its parts on one entry and one kernel. */
{
  const { make, si, data } = report;
  let picture = 'kernels';

  report.choose = (dispatch) => {
    report.dispatch = dispatch;
    report.showKernel();
    report.markGraph();
    report.markCosts();
    remember();
  };

  /** `#entry/picture/kernel`: a link to what is shown. */
  function remember() {
    const shown = [report.entry, picture, report.chosen() ?? ''];
    history.replaceState(null, '', `#${shown.map(encodeURIComponent).join('/')}`);
  }

  /** Of an entry that has no dispatches of its own, none is chosen: all it does, its loops do. */
  report.chosen = () => data.entries[report.entry].dispatches[report.dispatch]?.kernel;

  report.show = (entry, wanted) => {
    report.entry = entry;
    const { dispatches, costs } = data.entries[entry];
    const find = (name) => dispatches.findIndex(({ kernel }) => kernel === name);
    const own = costs.filter(({ kernel }) => find(kernel) >= 0).sort((a, b) => b.share - a.share);
    report.dispatch = find(wanted) < 0 ? find(own[0]?.kernel) : find(wanted);
    for (const tab of document.querySelectorAll('#entries button'))
      tab.setAttribute('aria-selected', String(tab.textContent === entry));
    facts();
    legend();
    report.showKernel();
    report.drawGraph(picture);
    report.drawMemory();
    report.drawCosts();
    report.drawPasses();
    remember();
  };

  function facts() {
    const { parts, costs, macs, memory, opCount } = data.entries[report.entry];
    const fact = (name, value, more) =>
      make('div', {}, make('dt', {}, name), make('dd', {}, value, more ? make('small', {}, ` ${more}`) : undefined));
    const dispatches = costs.reduce((sum, { uses }) => sum + uses, 0);
    const link = (entry) => make('button', { type: 'button', onclick: () => report.show(entry) }, entry);
    const [before, after] = opCount.map((n) => n.toLocaleString('en-US'));
    report.fill(
      'facts',
      fact('dispatches', String(dispatches), `of ${report.plural(costs.length, 'kernel')}`),
      parts.map(({ entry, times }) => fact(times > 1 ? `${times} turns of` : 'first', link(entry))),
      fact('ops', after, `traced as ${before}`),
      fact('multiply-accumulates', macs ? si(macs) : '0'),
      fact('weights', si(memory.weights, 'B')),
      fact('activations', si(memory.peak, 'B'), `at least ${si(memory.bound, 'B')}`),
    );
  }

  function legend() {
    const present = new Set(data.entries[report.entry].dispatches.map(({ kernel }) => report.familyOf(kernel)));
    const shown = Object.entries(report.FAMILIES).filter(([family]) => present.has(family));
    report.fill(
      'legend',
      shown.map(([family, name]) => make('span', { style: `--family: var(--${family})` }, make('i'), name)),
    );
  }

  function showPicture(which) {
    picture = which;
    for (const tab of document.querySelectorAll('[data-picture]'))
      tab.setAttribute('aria-selected', String(tab.dataset.picture === picture));
    report.drawGraph(picture);
    remember();
  }

  report.byId('model').textContent = data.model;
  report.byId('about').textContent = `${data.source}, compiled for ${data.device} by ditc`;
  const names = Object.keys(data.entries);
  report.fill(
    'entries',
    names.map((name) => make('button', { type: 'button', role: 'tab', onclick: () => report.show(name) }, name)),
  );
  const [entry, which, kernel] = location.hash.slice(1).split('/').map(decodeURIComponent);
  if (which === 'ops') picture = which;
  for (const tab of document.querySelectorAll('[data-picture]')) {
    tab.setAttribute('aria-selected', String(tab.dataset.picture === picture));
    tab.addEventListener('click', () => showPicture(tab.dataset.picture));
  }
  for (const button of document.querySelectorAll('[data-zoom]')) {
    const { zoom } = button.dataset;
    button.addEventListener('click', () =>
      zoom === 'fit' ? report.fitGraph(true) : report.zoomGraph(zoom === 'in' ? 1.25 : 0.8),
    );
  }
  report.listenToGraph();
  const parts = new Set(Object.values(data.entries).flatMap((one) => one.parts.map((part) => part.entry)));
  report.show(names.includes(entry) ? entry : names.find((name) => !parts.has(name)), kernel);
  addEventListener('resize', () => {
    report.fitGraph();
    report.drawMemory();
  });
}
