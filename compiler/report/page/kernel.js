/** The kernel chosen: what it is, why it ends where it does, the lines of the model it came from, its WGSL. */
{
  const { make } = report;
  const WORDS =
    /\b(fn|let|var|const|if|else|for|loop|while|return|break|continue|struct|enable|override|import|from|export|default|function|new|type|interface|extends|of|in)\b/;
  const TYPES =
    /\b(f32|f16|u32|i32|bool|vec[234]\w*|mat\d\w*|array|atomic|ptr|storage|workgroup|function|read|read_write|number|string|Tensor)\b/;
  const TOKEN = new RegExp(
    [
      /(\/\/.*|\/\*.*?\*\/|^\s*\*.*)/,
      /('[^']*'|`[^`]*`|"[^"]*")/,
      new RegExp(`(${WORDS.source})`),
      new RegExp(`(${TYPES.source}|@\\w+)`),
      /\b(\d[\w.]*)/,
    ]
      .map((part) => part.source)
      .join('|'),
    'g',
  );

  /** A line with light colours. */
  function colored(line) {
    const parts = [];
    let end = 0;
    for (const match of line.matchAll(TOKEN)) {
      const [text, comment, string, word, , type] = match;
      const kind = comment ? 'c' : string ? 's' : word ? 'k' : type ? 't' : 'n';
      parts.push(line.slice(end, match.index), make('span', { class: kind }, text));
      end = match.index + text.length;
    }
    return [...parts, line.slice(end)];
  }

  const lineOf = (text, number, hit) =>
    make('div', { 'data-n': number, class: hit && 'hit' }, make('span', {}, ...colored(text)));

  /** The lines that places name, with one more before and after. */
  function excerpts(places) {
    const files = new Map();
    for (const place of places) {
      const [, file, line] = /^(.*):(\d+):\d+$/.exec(place) ?? [];
      if (file) files.set(file, (files.get(file) ?? new Set()).add(Number(line)));
    }
    return [...files].flatMap(([file, hits]) => [make('div', { class: 'file' }, file), ...excerpt(file, hits)]);
  }

  function excerpt(file, hits) {
    const text = report.data.sources[file]?.split('\n');
    const rows = [];
    let last = 0;
    for (const number of [...hits].sort((a, b) => a - b)) {
      if (!text) {
        rows.push(lineOf('', number, true));
        continue;
      }
      const from = Math.max(last + 1, number - 1);
      if (last && from > last + 1) rows.push(make('div', { class: 'gap' }, '⋯'));
      for (let n = from; n <= Math.min(text.length, number + 1); n++) rows.push(lineOf(text[n - 1], n, hits.has(n)));
      last = Math.max(last, number + 1);
    }
    return rows;
  }

  report.showKernel = () => {
    const { dispatches, costs } = report.data.entries[report.entry];
    const panel = report.byId('kernel');
    const name = report.chosen();
    if (name === undefined) {
      panel.removeAttribute('style');
      delete panel.dataset.kernel;
      const why = 'no kernel of its own: what it gives, the entries that it runs first have computed';
      panel.replaceChildren(make('div', { class: 'head' }, make('p', {}, why)));
      return;
    }
    const { notes } = dispatches[report.dispatch];
    const kernel = report.kernel(name);
    const cost = costs.find((row) => row.kernel === name);
    const facts = [
      report.plural(cost.uses, 'use'),
      cost.type,
      cost.macs ? report.si(cost.macs, 'MAC') : undefined,
      report.si(cost.bytes, 'B'),
      `${report.percent(cost.share)} of the modelled time`,
      report.plural(kernel.bindings, 'buffer'),
    ];
    const head = make(
      'div',
      { class: 'head' },
      make('h2', {}, `${name} `, make('span', { class: 'pill' }, kernel.family)),
      make('p', {}, facts.filter(Boolean).join(' · ')),
      make('p', {}, `${cost.ops} — ${kernel.plan}`),
      notes.length
        ? make(
            'ul',
            { class: 'notes' },
            notes.map((note) => make('li', {}, note)),
          )
        : undefined,
    );
    const places = excerpts(cost.at);
    const source = places.length
      ? [make('div', { class: 'code source', tabindex: 0, 'aria-label': 'model' }, ...places)]
      : [];
    const wgsl = kernel.wgsl.split('\n').map((line, i) => lineOf(line, i + 1));
    const shown = make('div', { class: 'code wgsl', tabindex: 0, 'aria-label': 'WGSL' }, ...wgsl);
    panel.setAttribute('style', report.color(name));
    panel.dataset.kernel = name;
    panel.replaceChildren(head, ...source, shown);
  };
}
