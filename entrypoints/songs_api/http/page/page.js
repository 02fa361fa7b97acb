// The page uses the public API alone. Its tokens live in this module, for as long as the page does: nothing is written
// to the browser's storage. All text goes into the page as text.

const API = new URL(location.pathname.endsWith('/api/v1/') ? './' : 'api/v1/', location.href);
const LOOPBACK = ['127.0.0.1', 'localhost', '[::1]'];
const LIMIT_MS = 30_000;
const TYPING_MS = 250;
const $ = (id) => document.getElementById(id);

let session = null;      // of the user who is signed in; see `enter`
let entering = false;    // whether somebody is being signed in
let listing = null;      // aborts the list that is being read
let cursor = null;       // where the list goes on
let typing = null;       // the timer of a search that is being typed
let shown = null;        // the song that is shown

/** What the API answers to a request that it refuses. */
class Refused extends Error {
  constructor(problem, response) {
    super(problem.detail ?? `The service answered ${response.status}.`);
    this.code = problem.code;
    this.faults = problem.errors ?? [];
    this.retryAfterS = Number(response.headers.get('Retry-After')) || null;
  }
}

async function send(path, { body, headers, token, signal, ...options } = {}) {
  const limit = AbortSignal.timeout(LIMIT_MS);
  const response = await fetch(new URL(path, API), {
    ...options,
    signal: signal ? AbortSignal.any([signal, limit]) : limit,
    credentials: 'omit',
    headers: {
      ...(body && { 'Content-Type': 'application/json' }),
      ...(token && { Authorization: `Bearer ${token}` }),
      ...headers,
    },
    body: body && JSON.stringify(body),
  });
  if (response.status === 204) return null;
  if (response.ok) return response.json();
  throw new Refused(await response.json().catch(() => ({})), response);
}

/** Send a request of the user who is signed in. Once they have signed out it has no result, whatever is answered. */
async function request(path, options = {}) {
  const mine = session;
  try {
    return await sendFor(mine, path, options);
  } finally {
    options.signal?.throwIfAborted();
    if (mine !== session) throw new DOMException('The user has signed out.', 'AbortError');
  }
}

async function sendFor(mine, path, options) {
  const token = mine.access_token;
  try {
    return await send(path, { ...options, token });
  } catch (error) {
    if (error.code !== 'invalid_token' || mine !== session) throw error;
    if (mine.access_token === token) await refresh(mine); // unless another request has done so in the meantime
    if (mine !== session) throw error;
    return send(path, { ...options, token: mine.access_token });
  }
}

/** Exchange the refresh token, which is valid once: all requests wait for the same exchange. */
function refresh(mine) {
  mine.refreshing ??= send('auth/refresh', { method: 'POST', body: { refresh_token: mine.refresh_token } })
    .then((tokens) => { Object.assign(mine, tokens); })
    .catch((error) => {
      if (error.code === 'invalid_refresh_token' && mine === session) leave('Your session has ended. Sign in again.');
      throw error;
    })
    .finally(() => { mine.refreshing = null; });
  return mine.refreshing;
}

/** Do something for the user, and show why where it fails. */
async function act(work) {
  $('problem').textContent = '';
  try {
    await work();
  } catch (error) {
    if (error.name !== 'AbortError') $('problem').textContent = reasonOf(error);
  }
}

function reasonOf(error) {
  if (['TypeError', 'SyntaxError', 'TimeoutError'].includes(error.name)) return 'The service does not respond. Try again soon.';
  const faults = error.faults?.map(({ pointer, message }) => `${pointer.slice(1)}: ${message}.`).join(' ');
  const wait = error.retryAfterS ? ` Try again in ${error.retryAfterS} s.` : '';
  return (faults || error.message) + wait;
}

// Signing in and out

async function enter(username, password, { register = false } = {}) {
  if (entering) return; // two clicks sign in once
  entering = true;
  try {
    const credentials = { username, password };
    if (register) await send('auth/register', { method: 'POST', body: credentials });
    const tokens = await send('auth/login', { method: 'POST', body: credentials });
    $('who').textContent = (await send('users/me', { token: tokens.access_token })).username;
    session = { ...tokens, refreshing: null, ratings: new Map() };
  } finally {
    entering = false;
  }
  $('entry').hidden = true;
  $('account').hidden = $('catalogue').hidden = false;
  $('entry-form').reset();
  $('message').focus();
  await list();
}

/** Show the form, and leave nothing of the user for the next one; answers that are under way are dropped. */
function leave(reason = '') {
  session = shown = cursor = null;
  listing?.abort();
  clearTimeout(typing);
  $('entry').hidden = false;
  $('account').hidden = $('catalogue').hidden = $('song').hidden = true;
  empty();
  $('problem').textContent = reason;
  $('find').reset();
  $('username').focus();
}

async function signOut() {
  const body = { refresh_token: session.refresh_token };
  leave();
  await send('auth/logout', { method: 'POST', body, keepalive: true }).catch(() => {
    if (!session) throw new Error('You are signed out here, but the service may keep your session until it expires.');
  });
}

$('entry-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const register = event.submitter?.value === 'register';
  act(() => enter($('username').value, $('password').value, { register }));
});

$('sign-out').addEventListener('click', () => act(signOut));

// The list

async function list(next = null) {
  listing?.abort();
  const { signal } = (listing = new AbortController());
  const message = $('message').value.trim();
  const query = new URLSearchParams({ page_size: 20, cursor: next ?? '' });
  if (message) query.set('message', message);
  else {
    if ($('artist').value.trim()) query.set('artist', $('artist').value.trim());
    if ($('level').value) query.set('level', $('level').value);
  }
  // A search looks in artists as well, and takes no filters.
  $('artist').disabled = $('level').disabled = Boolean(message);
  const goesOn = document.activeElement === $('more');
  const page = await request(`${message ? 'songs/search' : 'songs'}?${query}`, { signal }).catch((error) => {
    if (next === null && !signal.aborted) empty(); // what was found before is not what is asked for now
    throw error;
  });
  cursor = page.pagination.next_cursor;
  const items = page.data.map(itemOf);
  if (next === null) $('songs').replaceChildren(...items);
  else $('songs').append(...items);
  $('more').hidden = cursor === null;
  const count = $('songs').childElementCount;
  $('found').textContent = count ? `${plural(count, 'song')} shown` : 'No songs found';
  if (goesOn) items[0]?.firstChild.focus();
}

function empty() {
  $('songs').replaceChildren();
  $('found').textContent = '';
  $('more').hidden = true;
}

function plural(count, noun) {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

function itemOf(song) {
  const button = document.createElement('button');
  const more = document.createElement('small');
  button.type = 'button';
  button.append(isolated(song.title), more);
  more.append(isolated(song.artist), ` · level ${song.level} · ${song.released.slice(0, 4)}`);
  if (song.id === shown?.id) button.setAttribute('aria-current', 'true');
  button.addEventListener('click', () => act(() => show(song, button)));
  const item = document.createElement('li');
  item.append(button);
  return item;
}

/** Return an element for text of any direction, which changes the direction of nothing beside it. */
function isolated(text) {
  const element = document.createElement('bdi');
  element.textContent = text;
  return element;
}

$('find').addEventListener('input', () => {
  clearTimeout(typing);
  listing?.abort();
  $('more').hidden = true; // the cursor is of another list now
  typing = setTimeout(() => act(list), TYPING_MS);
});
$('find').addEventListener('submit', (event) => {
  event.preventDefault();
  clearTimeout(typing);
  act(list);
});
$('more').addEventListener('click', () => act(() => list(cursor)));

// A song

async function show(song, button) {
  for (const current of document.querySelectorAll('[aria-current]')) current.removeAttribute('aria-current');
  button.setAttribute('aria-current', 'true');
  shown = { ...song, count: 0 };
  for (const name of ['title', 'artist', 'difficulty', 'level', 'released']) $(`song-${name}`).textContent = song[name];
  $('rated').textContent = '';
  $('summary').textContent = '';
  $('distribution').replaceChildren();
  $('song').hidden = false;
  $('song').focus();
  const stats = await request(`songs/${song.id}/ratings`);
  histogram(song, stats);
}

/** Show the statistics of a song, unless later ones have come before: ratings are only added. */
function histogram(song, { average, count, distribution }) {
  if (song.id !== shown?.id || count < shown.count) return;
  shown.count = count;
  $('summary').textContent = count ? `${average.toFixed(1)} on average, ${plural(count, 'rating')}` : 'Not rated yet';
  $('distribution').replaceChildren(...[5, 4, 3, 2, 1].map((rating) => {
    const [row, name, share, number, bar] = ['tr', 'th', 'td', 'td', 'meter'].map((tag) => document.createElement(tag));
    name.scope = 'row';
    name.textContent = String(rating);
    number.textContent = String(distribution[rating]);
    bar.max = Math.max(count, 1);
    bar.value = distribution[rating];
    bar.setAttribute('aria-label', `${distribution[rating]} of ${count} rated it ${rating}`);
    share.append(bar);
    row.append(name, share, number);
    return row;
  }));
}

/** Rate the song; a rating that nobody has confirmed is sent again with its key, and so is counted once. */
async function rate(song, rating) {
  const { ratings } = session; // by song and rating, those that nobody has confirmed
  const name = `${song.id} ${rating}`;
  const given = ratings.get(name) ?? { key: newKey(), sending: false };
  if (given.sending) return;
  ratings.set(name, given);
  given.sending = true;
  $('rated').textContent = '';
  try {
    const stats = await request('songs/ratings', {
      method: 'POST',
      headers: { 'Idempotency-Key': given.key },
      body: { song_id: song.id, rating },
    });
    ratings.delete(name);
    if (song.id === shown?.id) $('rated').textContent = `You rated it ${rating}.`;
    histogram(song, stats);
  } finally {
    given.sending = false;
  }
}

// crypto.randomUUID is for pages behind TLS only.
function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

for (const rating of [1, 2, 3, 4, 5]) {
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = String(rating);
  button.setAttribute('aria-label', `Rate it ${rating} of 5`);
  // A double click and a key that is held are one rating, however fast the answer is.
  button.addEventListener('click', (event) => { if (event.detail < 2) act(() => rate(shown, rating)); });
  button.addEventListener('keydown', (event) => { if (event.repeat && event.key === 'Enter') event.preventDefault(); });
  $('rate').append(button);
}

/**
 * Sign in by an address that `songs demo` prints: what is behind the # is never sent to a server. On another machine
 * than this the form is filled in, no more, and not for a user who has signed in: a link must not let anyone rate in the
 * name of whoever made it.
 */
function enterByAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  if (!given.has('user')) return;
  history.replaceState(null, '', location.pathname + location.search);
  const local = LOOPBACK.includes(location.hostname);
  if (session && !local) return;
  act(async () => {
    if (session) await signOut().catch(() => {}); // ends by itself
    [$('username').value, $('password').value] = [given.get('user'), given.get('password') ?? ''];
    if (local) await enter($('username').value, $('password').value);
  });
}

addEventListener('hashchange', enterByAddress);
enterByAddress();
