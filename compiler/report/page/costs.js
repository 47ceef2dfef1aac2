/** The cost of each kernel: a table that sorts, and the roofline of the device with a dot for each kernel. */
{
  const { make, si } = report;
  const COLUMNS = [
    { title: 'kernel', value: (row) => row.kernel },
    { title: 'uses', value: (row) => row.uses, text: (row) => String(row.uses) },
    { title: 'MACs', value: (row) => row.macs, text: (row) => (row.macs ? si(row.macs) : '') },
    { title: 'bytes', value: (row) => row.bytes, text: (row) => si(row.bytes, 'B') },
    { title: 'FLOP/B', value: (row) => row.intensity, text: (row) => (row.intensity ? row.intensity.toFixed(1) : '') },
    { title: 'modelled time', value: (row) => row.share },
    { title: 'ops', value: (row) => row.ops, wide: true },
  ];
  const order = { column: 5, down: true };

  /** Of a loop's kernel, where it is. */
  const chooseKernel = ({ kernel, entry }) => {
    const at = report.data.entries[report.entry].dispatches.findIndex((d) => d.kernel === kernel);
    if (at < 0) report.show(entry, kernel);
    else report.choose(at);
  };

  report.drawCosts = () => {
    const { costs } = report.data.entries[report.entry];
    const { rates } = report.data;
    const device = `${si(rates.gflops * 1e9, 'FLOP/s')} and ${si(rates.bandwidthGBs * 1e9, 'B/s')}`;
    report.byId('cost-note').textContent = rates.nominal
      ? `modelled on a nominal GPU of ${device}: the device “${report.data.device}” has no rates`
      : `modelled on ${report.data.device}: ${device}`;
    const { value } = COLUMNS[order.column];
    const rows = [...costs].sort((a, b) => {
      const [p, q] = [value(a), value(b)];
      return (p < q ? -1 : p > q ? 1 : 0) * (order.down ? -1 : 1);
    });
    const heads = COLUMNS.map(({ title, wide }, i) => {
      const sorted = i === order.column ? (order.down ? 'descending' : 'ascending') : undefined;
      const sort = () => {
        Object.assign(order, { column: i, down: i === order.column ? !order.down : i > 0 && !wide });
        report.drawCosts();
      };
      return make(
        'th',
        { class: wide && 'wide', 'aria-sort': sorted },
        make('button', { type: 'button', onclick: sort }, title),
      );
    });
    const body = rows.map((row) => {
      const cells = COLUMNS.map((column) =>
        make('td', { class: column.wide && 'wide', title: column.wide && row.ops }, cell(column, row)),
      );
      const choose = () => chooseKernel(row);
      const keyed = (event) => event.key === 'Enter' && choose();
      return make(
        'tr',
        { style: report.color(row.kernel), 'data-kernel': row.kernel, tabindex: 0, onclick: choose, onkeydown: keyed },
        cells,
      );
    });
    report.fill('costs', make('thead', {}, make('tr', {}, heads)), make('tbody', {}, body));
    drawRoofline(costs, rates);
    report.markCosts();
  };

  function cell({ title, text, value }, row) {
    if (title === 'kernel') return [make('i', { class: 'dot' }), row.kernel];
    if (title === 'modelled time') {
      const meter = make('span', { class: 'meter' }, make('i', { style: `width: ${(row.share * 100).toFixed(2)}%` }));
      return [meter, report.percent(row.share)];
    }
    return [(text ?? value)(row)];
  }

  function drawRoofline(costs, { gflops, bandwidthGBs }) {
    const [width, height, left, bottom, top, right] = [480, 300, 52, 34, 14, 12];
    const dots = costs.filter((row) => row.intensity > 0);
    const ridge = gflops / bandwidthGBs;
    const [low, high] = [
      Math.min(ridge / 10, ...dots.map((d) => d.intensity)),
      Math.max(ridge * 10, ...dots.map((d) => d.intensity)),
    ];
    const decades = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
    const roof = (intensity) => Math.min(gflops, bandwidthGBs * intensity);
    const powers = [Math.floor(Math.log10(roof(10 ** decades[0]))), Math.ceil(Math.log10(gflops * 1.01))];
    const x = (intensity) =>
      left + ((width - left - right) * (Math.log10(intensity) - decades[0])) / (decades[1] - decades[0]);
    const y = (rate) =>
      height - bottom - ((height - top - bottom) * (Math.log10(rate) - powers[0])) / (powers[1] - powers[0]);
    const range = ([a, b]) => Array.from({ length: b - a + 1 }, (_, i) => a + i);
    const text = (attributes, content) => make('text', { class: 'tick', ...attributes }, content);
    const ten = (power) =>
      power >= 0 && power <= 3 ? String(10 ** power) : power < 0 ? String(10 ** power) : si(10 ** power);
    const grid = [
      ...range(decades).flatMap((p) => [
        make('line', { class: 'grid', x1: x(10 ** p), x2: x(10 ** p), y1: top, y2: height - bottom }),
        text({ x: x(10 ** p), y: height - bottom + 14, 'text-anchor': 'middle' }, ten(p)),
      ]),
      ...range(powers).flatMap((p) => [
        make('line', { class: 'grid', x1: left, x2: width - right, y1: y(10 ** p), y2: y(10 ** p) }),
        text({ x: left - 6, y: y(10 ** p) + 4, 'text-anchor': 'end' }, si(10 ** p * 1e9)),
      ]),
      text({ x: (left + width) / 2, y: height - 4, 'text-anchor': 'middle' }, 'operations per byte'),
      text({ x: left + 5, y: top + 10 }, 'FLOP/s within reach'),
    ];
    const [first, last] = decades.map((p) => 10 ** p);
    const line = make('path', {
      class: 'roof',
      d: `M${x(first)} ${y(roof(first))}L${x(ridge)} ${y(gflops)}L${x(last)} ${y(gflops)}`,
    });
    const spots = dots.map((row) =>
      make('circle', {
        class: 'spot',
        style: report.color(row.kernel),
        'data-kernel': row.kernel,
        cx: x(row.intensity),
        cy: y(roof(row.intensity)),
        r: 4 + 12 * Math.sqrt(row.share),
        onpointermove: (event) =>
          report.tip(
            event,
            make('b', {}, row.kernel),
            make(
              'small',
              {},
              `${row.intensity.toFixed(1)} FLOP/B, bound by ${row.intensity < ridge ? 'memory' : 'arithmetic'} · ${report.percent(row.share)} of the time`,
            ),
          ),
        onpointerleave: report.hideTip,
        onclick: () => chooseKernel(row),
      }),
    );
    const labels = spotLabels(
      dots,
      (d) => x(d.intensity),
      (d) => y(roof(d.intensity)),
      text,
    );
    report.fill(
      'roofline',
      make(
        'svg',
        { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': 'Roofline' },
        grid,
        line,
        spots,
        labels,
      ),
    );
  }

  /** Names of the dots below the roof, the costly ones first; one that would lie on another is left to the tip. */
  function spotLabels(dots, x, y, text) {
    const taken = dots.map((d) => ({ x: x(d) - 4, y: y(d) - 5, w: 8, h: 10 }));
    const hits = (a) => taken.some((b) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h);
    return [...dots]
      .sort((a, b) => b.share - a.share)
      .filter(({ share }) => share > 0.01)
      .slice(0, 8)
      .flatMap((row) => {
        const w = row.kernel.length * 6.7;
        for (let drop = 22; drop < 110; drop += 13) {
          const place = { x: Math.max(56, Math.min(x(row) - w / 2, 466 - w)), y: y(row) + drop - 10, w, h: 12 };
          if (place.y > 250 || hits(place)) continue;
          taken.push(place);
          return [text({ x: place.x, y: place.y + 10 }, row.kernel)];
        }
        return [];
      });
  }

  report.markCosts = () => {
    const kernel = report.chosen();
    for (const shown of document.querySelectorAll('#costs [data-kernel], #roofline [data-kernel]'))
      shown.classList.toggle('on', shown.dataset.kernel === kernel);
  };
}
