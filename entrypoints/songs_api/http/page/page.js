// The page uses the public API alone. Its tokens live in this module, for as long as the page does: nothing is written
// to the browser's storage. All text goes into the page as text.

const API = new URL(location.pathname.endsWith('/api/v1/') ? './' : 'api/v1/', location.href);
const TYPING_MS = 250;
const $ = (id) => document.getElementById(id);

let session = null;      // { access_token, refresh_token }
let refreshing = null;   // the exchange of the refresh token that is under way: it is valid once
let listing = null;      // aborts the list that is being read
let cursor = null;       // where the list goes on
let shown = null;        // the song that is shown
let pending = null;      // { id, rating, key } of a rating that nobody has confirmed

/** What the API answers to a request that it refuses. */
class Refused extends Error {
  constructor(problem, response) {
    super(problem.detail ?? `The service answered ${response.status}.`);
    this.code = problem.code;
    this.faults = problem.errors ?? [];
    this.retryAfterS = Number(response.headers.get('Retry-After')) || null;
  }
}

async function send(path, { method = 'GET', body, headers = {}, signal, token } = {}) {
  const response = await fetch(new URL(path, API), {
    method,
    signal,
    credentials: 'omit',
    headers: {
      ...(body && { 'Content-Type': 'application/json' }),
      ...(token && { Authorization: `Bearer ${token}` }),
      ...headers,
    },
    body: body && JSON.stringify(body),
  });
  if (response.status === 204) return null;
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(answer, response);
  return answer;
}

/** Send a request of the user who is signed in; an access token that has expired is exchanged once. */
async function request(path, options = {}) {
  if (!session) throw new Error('Sign in first.');
  try {
    return await send(path, { ...options, token: session.access_token });
  } catch (error) {
    if (error.code !== 'invalid_token' || !session) throw error;
    await refresh();
    return send(path, { ...options, token: session.access_token });
  }
}

async function refresh() {
  refreshing ??= send('auth/refresh', { method: 'POST', body: { refresh_token: session.refresh_token } })
    .then((tokens) => { session = tokens; })
    .finally(() => { refreshing = null; });
  try {
    await refreshing;
  } catch (error) {
    if (error.code === 'invalid_refresh_token') {
      leave();
      throw new Error('Your session has ended. Sign in again.');
    }
    throw error;
  }
}

/** Do something for the user, and show why where it fails. */
async function act(work) {
  try {
    await work();
    $('problem').textContent = '';
  } catch (error) {
    if (error.name !== 'AbortError') $('problem').textContent = reasonOf(error);
  }
}

function reasonOf(error) {
  if (error instanceof TypeError) return 'The service does not respond. Try again soon.';
  const faults = error.faults?.map(({ pointer, message }) => `${pointer.slice(1)}: ${message}`) ?? [];
  const wait = error.retryAfterS ? ` Try again in ${error.retryAfterS} s.` : '';
  return [error.message, ...faults].join(' ') + wait;
}

// Signing in and out

async function enter(username, password, { register = false } = {}) {
  const credentials = { username, password };
  if (register) await send('auth/register', { method: 'POST', body: credentials });
  session = await send('auth/login', { method: 'POST', body: credentials });
  const me = await request('users/me');
  $('who').textContent = me.username;
  $('entry').hidden = true;
  $('account').hidden = $('catalogue').hidden = false;
  $('entry-form').reset();
  $('message').focus();
  await list();
}

function leave() {
  session = pending = shown = null;
  listing?.abort();
  $('entry').hidden = false;
  $('account').hidden = $('catalogue').hidden = $('song').hidden = true;
  $('songs').replaceChildren();
  $('find').reset();
  $('username').focus();
}

$('entry-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const register = event.submitter?.value === 'register';
  act(() => enter($('username').value, $('password').value, { register }));
});

$('sign-out').addEventListener('click', () => act(async () => {
  const token = session.refresh_token;
  leave();
  await send('auth/logout', { method: 'POST', body: { refresh_token: token } });
}));

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
  const page = await request(`${message ? 'songs/search' : 'songs'}?${query}`, { signal });
  cursor = page.pagination.next_cursor;
  const items = page.data.map(itemOf);
  if (next === null) $('songs').replaceChildren(...items);
  else $('songs').append(...items);
  $('more').hidden = cursor === null;
  const count = $('songs').childElementCount;
  $('found').textContent = count ? `${plural(count, 'song')} shown` : 'No songs found';
  if (next !== null) items[0]?.firstChild.focus();
}

function plural(count, noun) {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

function itemOf(song) {
  const button = document.createElement('button');
  const more = document.createElement('small');
  button.type = 'button';
  button.append(song.title, more);
  more.textContent = `${song.artist} · level ${song.level} · ${song.released.slice(0, 4)}`;
  button.addEventListener('click', () => act(() => show(song, button)));
  const item = document.createElement('li');
  item.append(button);
  return item;
}

let typing = null;
$('find').addEventListener('input', () => {
  clearTimeout(typing);
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
  shown = song;
  $('song-title').textContent = song.title;
  for (const name of ['artist', 'difficulty', 'level', 'released']) $(`song-${name}`).textContent = song[name];
  $('rated').textContent = '';
  $('summary').textContent = '';
  $('distribution').replaceChildren();
  $('song').hidden = false;
  $('song').focus();
  const stats = await request(`songs/${song.id}/ratings`);
  if (shown === song) histogram(stats);
}

function histogram({ average, count, distribution }) {
  $('summary').textContent = count ? `${average.toFixed(1)} on average, ${plural(count, 'rating')}` : 'Not rated yet';
  $('distribution').replaceChildren(...[5, 4, 3, 2, 1].map((rating) => {
    const row = document.createElement('tr');
    const name = document.createElement('th');
    const share = document.createElement('td');
    const number = document.createElement('td');
    const bar = document.createElement('meter');
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
  if (pending?.id !== song.id || pending.rating !== rating) pending = { id: song.id, rating, key: newKey() };
  const stats = await request('songs/ratings', {
    method: 'POST',
    headers: { 'Idempotency-Key': pending.key },
    body: { song_id: song.id, rating },
  });
  pending = null;
  if (shown !== song) return;
  $('rated').textContent = `You rated it ${rating}.`;
  histogram(stats);
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
  button.addEventListener('click', () => {
    button.disabled = true; // until the answer: two clicks are one rating
    act(() => rate(shown, rating)).finally(() => { button.disabled = false; button.focus(); });
  });
  $('rate').append(button);
}

// `songs demo` prints an address that signs in: what is behind the # is never sent to a server.
const given = new URLSearchParams(location.hash.slice(1));
if (given.has('user')) {
  history.replaceState(null, '', location.pathname + location.search);
  act(() => enter(given.get('user'), given.get('password') ?? ''));
}
