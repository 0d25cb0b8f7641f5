// Points, labels, search and colours of the group page. The values are in the page as packed
// integers; a panel is drawn when it comes near the window and forgotten when it leaves.
(() => {
  const store = document.getElementById('group-data');
  const data = JSON.parse(store.textContent);
  const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = store.dataset.axes.split(' ').map(Number);
  const SVG = 'http://www.w3.org/2000/svg';
  const MISSING = -32768, NEAR = 18;
  const tip = document.querySelector('.tip');
  const finder = document.querySelector('.finder');
  const number = (v, digits) => v.toFixed(digits).replace('-', '\u2212');
  const unpack = packed => {
    const text = atob(packed.data), bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return new Int16Array(bytes.buffer);
  };
  const unpacked = new Map();
  const arrays = i => {
    if (!unpacked.has(i)) {
      const { values, z } = data.atlases[i];
      unpacked.set(i, { values: unpack(values), step: values.step, z: z && unpack(z), zStep: z && z.step });
    }
    return unpacked.get(i);
  };
  let group = null, chosen = [], shown = null;
  const visible = new Set();

  class Panel {
    constructor(figure) {
      this.figure = figure;
      this.svg = figure.querySelector('svg');
      this.x = figure.dataset.x.split(' ').map(Number);
      this.y = figure.dataset.y.split(' ').map(Number);
      this.over = this.svg.appendChild(document.createElementNS(SVG, 'g'));
      this.name = this.svg.querySelector('.name').textContent;
      figure.tabIndex = 0;
      for (const link of this.svg.querySelectorAll('a')) {
        link.setAttribute('tabindex', '-1');
        link.querySelector('title')?.remove();  // the label below says more
      }
    }
    load() {
      if (this.points) return;
      const all = arrays(Number(this.figure.dataset.atlas)), n = data.keys.length;
      const start = Number(this.figure.dataset.column) * n;
      this.points = [];
      for (let i = 0; i < n; i++) {
        const value = all.values[start + i], age = data.ages[i];
        if (age === null || value === MISSING) continue;
        const z = all.z ? all.z[start + i] : MISSING;
        this.points.push(this.place({
          scan: i, age, value: value * all.step, z: z === MISSING ? null : z * all.zStep,
        }));
      }
      this.byAge = this.points.map((_, i) => i).sort((a, b) => this.points[a].age - this.points[b].age);
      this.byScan = new Map(this.points.map(p => [p.scan, p]));
    }
    place(point) {
      const share = (v, [low, high]) => (v - low) / (high - low);
      point.px = LEFT + share(point.age, this.x) * (RIGHT - LEFT);
      point.py = BOTTOM - Math.min(Math.max(share(point.value, this.y), 0), 1) * (BOTTOM - TOP);
      return point;
    }
    draw() {
      this.load();
      if (data.draw) this.paint(); else this.recolour();
      this.highlight();
    }
    paint() {
      const plot = this.figure.querySelector('.plot');
      this.canvas ??= plot.insertBefore(document.createElement('canvas'), this.svg);
      const scale = this.svg.getBoundingClientRect().width / WIDTH * (window.devicePixelRatio || 1);
      this.canvas.width = Math.max(1, Math.round(WIDTH * scale));
      this.canvas.height = Math.max(1, Math.round(HEIGHT * scale));
      const pen = this.canvas.getContext('2d');
      pen.setTransform(scale, 0, 0, scale, 0, 0);
      const style = getComputedStyle(document.documentElement);
      const count = this.points.length;
      const radius = count > 2000 ? 1.3 : count > 600 ? 1.8 : 2.4;
      pen.globalAlpha = count > 2000 ? 0.28 : 0.6;
      const codes = group && group.codes, plain = style.getPropertyValue(`--point-${this.figure.dataset.side}`);
      const colours = codes && group.levels.map((_, i) => style.getPropertyValue(`--kind-${i}`));
      for (const p of this.points) {
        const code = codes ? codes[p.scan] : -1;
        pen.fillStyle = code < 0 ? plain : colours[code];
        pen.beginPath();
        pen.arc(p.px, p.py, radius, 0, 7);
        pen.fill();
      }
    }
    recolour() {
      this.svg.querySelectorAll('a circle').forEach((circle, i) => {
        const code = group ? group.codes[this.points[i].scan] : -1;
        circle.style.fill = code < 0 ? '' : `var(--kind-${code})`;
      });
    }
    forget() {
      if (this.canvas) this.canvas.width = this.canvas.height = 0;
    }
    highlight() {
      this.over.replaceChildren();
      const points = chosen.map(i => this.byScan.get(i)).filter(Boolean);
      points.sort((a, b) => a.age - b.age);
      if (points.length > 1) {
        const d = 'M' + points.map(p => `${p.px.toFixed(1)} ${p.py.toFixed(1)}`).join('L');
        this.add('path', { class: 'chosen', d });
      }
      for (const p of points) this.add('circle', { class: 'chosen', cx: p.px, cy: p.py, r: 4.6 });
    }
    add(tag, attributes) {
      const element = this.over.appendChild(document.createElementNS(SVG, tag));
      for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
      return element;
    }
    nearest(event) {
      this.load();
      const box = this.svg.getBoundingClientRect(), scale = box.width / WIDTH;
      const x = (event.clientX - box.left) / scale, y = (event.clientY - box.top) / scale;
      let best = null, least = (NEAR / scale) ** 2;
      for (const p of this.points) {
        const distance = (p.px - x) ** 2 + (p.py - y) ** 2;
        if (distance < least) { least = distance; best = p; }
      }
      return best;
    }
    show(point, touch = false) {
      this.ring?.remove();
      this.ring = this.add('circle', { class: 'ring', cx: point.px, cy: point.py, r: 6 });
      shown = { panel: this, point };
      const key = document.createElement('a');
      key.href = data.pages[point.scan];
      key.textContent = data.keys[point.scan];
      const z = point.z === null ? '' : ` \u00b7 z ${point.z > 0 ? '+' : ''}${number(point.z, 2)}`;
      const kind = group && group.codes[point.scan] >= 0 ? ` \u00b7 ${group.levels[group.codes[point.scan]]}` : '';
      tip.replaceChildren(key, document.createElement('br'),
        `${+point.age.toFixed(2)} y \u00b7 ${number(point.value, 4)} ppm${z}${kind}`);
      tip.classList.toggle('touch', touch);
      tip.hidden = false;
      tip.style.left = '0';  // its width depends on where it starts
      const box = this.svg.getBoundingClientRect(), scale = box.width / WIDTH;
      const x = box.left + point.px * scale, y = box.top + point.py * scale;
      const left = Math.min(Math.max(x - tip.offsetWidth / 2, 6), document.documentElement.clientWidth - tip.offsetWidth - 6);
      const above = y - tip.offsetHeight - 12;
      tip.style.left = `${left}px`;
      tip.style.top = `${above > 6 ? above : y + 14}px`;
    }
    step(by) {
      this.load();
      if (!this.points.length) return;
      const at = shown?.panel === this ? this.byAge.indexOf(this.points.indexOf(shown.point)) : by > 0 ? -1 : this.byAge.length;
      const next = Math.min(Math.max(at + by, 0), this.byAge.length - 1);
      this.show(this.points[this.byAge[next]]);
    }
  }
  const hide = () => {
    tip.hidden = true;
    shown?.panel.ring?.remove();
    shown = null;
  };
  const open = point => { location.href = data.pages[point.scan]; };

  const panels = new Map();
  for (const figure of document.querySelectorAll('.panel')) {
    const panel = new Panel(figure);
    panels.set(figure, panel);
    let touch = false;
    panel.svg.addEventListener('pointerdown', event => { touch = event.pointerType !== 'mouse'; });
    panel.svg.addEventListener('pointermove', event => {
      if (event.pointerType !== 'mouse') return;
      const point = panel.nearest(event);
      panel.svg.style.cursor = point ? 'pointer' : '';
      if (point) panel.show(point); else hide();
    });
    panel.svg.addEventListener('pointerleave', event => { if (event.pointerType === 'mouse') hide(); });
    panel.svg.addEventListener('click', event => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;  // a new tab, where there are links
      event.preventDefault();
      const point = panel.nearest(event);
      if (!point) return hide();
      if (touch) panel.show(point, true); else open(point);
    });
    figure.addEventListener('keydown', event => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (by) { event.preventDefault(); panel.step(by); }
      if (event.key === 'Escape') hide();
      if (event.key === 'Enter' && shown?.panel === panel) open(shown.point);
    });
    figure.addEventListener('blur', hide);
  }
  addEventListener('scroll', () => { if (!tip.hidden) hide(); }, { passive: true });

  const watcher = new IntersectionObserver(entries => {
    for (const { target, isIntersecting } of entries) {
      const panel = panels.get(target);
      if (isIntersecting) { visible.add(panel); panel.draw(); } else if (visible.delete(panel)) panel.forget();
    }
  }, { rootMargin: '400px' });
  for (const figure of panels.keys()) watcher.observe(figure);
  const redraw = () => { for (const panel of visible) panel.draw(); };
  let waiting = 0;
  addEventListener('resize', () => { hide(); clearTimeout(waiting); waiting = setTimeout(redraw, 150); });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
  addEventListener('beforeprint', () => { for (const panel of panels.values()) panel.draw(); });

  // search
  if (!panels.size) return;
  finder.hidden = false;
  finder.addEventListener('submit', event => event.preventDefault());
  const input = finder.querySelector('input'), found = finder.querySelector('.found');
  const people = [...new Set(data.people)];
  const list = document.getElementById('people');
  const suggest = matching => list.replaceChildren(...matching.slice(0, 50).map(name => new Option(name)));
  suggest(people);
  const mostUnusual = () => {
    let best = null;
    for (const panel of panels.values()) {
      if (!data.atlases[Number(panel.figure.dataset.atlas)].z) continue;
      panel.load();
      for (const i of chosen) {
        const point = panel.byScan.get(i);
        if (point && point.z !== null && (!best || Math.abs(point.z) > Math.abs(best.z))) best = { z: point.z, name: panel.name };
      }
    }
    return best ? ` \u00b7 most unusual: ${best.name}, z ${best.z > 0 ? '+' : ''}${number(best.z, 2)}` : '';
  };
  const search = () => {
    const text = input.value.trim().toLowerCase();
    const matching = text ? people.filter(name => name.toLowerCase().includes(text)) : people;
    suggest(matching);
    const exact = people.filter(name => [text, `sub-${text}`].includes(name.toLowerCase()));
    const one = exact.length ? exact[0] : matching.length === 1 ? matching[0] : null;
    const byKey = data.keys.findIndex(key => key.toLowerCase() === text);
    chosen = !text ? [] : byKey >= 0 && !exact.length ? [byKey]
      : one === null ? [] : data.people.flatMap((name, i) => name === one ? [i] : []);
    found.replaceChildren();
    if (chosen.length) {
      const link = document.createElement('a');
      link.href = data.pages[chosen[0]];
      link.textContent = data.people[chosen[0]];
      const ages = chosen.map(i => data.ages[i]).map(age => age === null ? 'age not known' : `${+age.toFixed(2)} y`);
      found.append(link, ` \u00b7 ${ages.join(', ')}${mostUnusual()}`);
    } else if (text) {
      found.textContent = matching.length ? `${matching.length} participants match` : 'nobody of that name';
    }
    redraw();
  };
  input.addEventListener('input', search);
  if (input.value) search();

  // colours
  const colour = finder.querySelector('.colour'), select = colour.querySelector('select');
  const key = finder.querySelector('.legend');
  if (data.groups.length) {
    colour.hidden = false;
    select.append(new Option('nothing', ''), ...data.groups.map((g, i) => new Option(g.title, i)));
    select.addEventListener('change', () => {
      group = select.value === '' ? null : data.groups[Number(select.value)];
      key.replaceChildren(...(group ? group.levels : []).map((level, i) => {
        const item = document.createElement('span'), dot = document.createElement('i');
        dot.style.background = `var(--kind-${i})`;
        item.append(dot, level);
        return item;
      }));
      redraw();
    });
  }
})();
