/* lock.c - what may name a lock, and the names of its helper keys */
#include "lock/lock.h"

#include "test.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS 16384

/* CRC-16/XMODEM, bit by bit. */
static unsigned int crc16(const char *text, size_t len)
{
	unsigned int crc = 0;
	size_t i;
	int bit;

	for (i = 0; i < len; i++) {
		crc ^= (unsigned int)(unsigned char)text[i] << 8;
		for (bit = 0; bit < 8; bit++)
			crc = crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1;
		crc &= 0xffff;
	}
	return crc;
}

/* The part of a key that a cluster hashes: what stands between the first '{'
 * and the next '}', if anything does, else all. */
static const char *hashed(const char *key, size_t *len)
{
	const char *open = strchr(key, '{');
	const char *close = open ? strchr(open, '}') : NULL;

	*len = strlen(key);
	if (!close || close == open + 1)
		return key;
	*len = (size_t)(close - open - 1);
	return open + 1;
}

static unsigned int slot(const char *key)
{
	size_t len;
	const char *part = hashed(key, &len);

	return crc16(part, len) % SLOTS;
}

static bool has_tag(const char *name)
{
	size_t len;

	return hashed(name, &len) != name;
}

static void test_slot(void)
{
	check(crc16("123456789", 9) == 0x31c3, "the CRC is the cluster's");
	check(slot("foo") == 12182 && slot("{foo}bar") == 12182 &&
		      slot("a{foo}{bar}") == 12182,
	      "the slot is that of the tag");
	check(slot("{}foo") != slot("foo") && slot("{}foo") == 9500,
	      "an empty tag is none (%u)", slot("{}foo"));
}

static void test_check(void)
{
	static const struct {
		const char *name;
		bool good;
	} rows[] = {
		{ "k", true },	      { " ", true },
		{ "\n", true },	      { "\xff", true },
		{ "-n", true },	      { "*", true },
		{ "rlock", true },    { "Rlock:x", true },
		{ "xrlock:", true },  { "{rlock:}", true },
		{ "{", true },	      { "}", true },
		{ "", false },	      { "rlock:", false },
		{ "rlock:x", false }, { "rlock:{x}:fence", false },
	};
	char name[LOCK_NAME_MAX + 2];
	struct error err;
	size_t i;

	for (i = 0; i < COUNT(rows); i++) {
		memset(&err, 0, sizeof(err));
		check(lock_name_check(rows[i].name, &err) == rows[i].good,
		      "'%s' is %s name", rows[i].name,
		      rows[i].good ? "a" : "no");
		check(rows[i].good || (err.status == STATUS_USAGE && *err.text),
		      "and it is said why (%s)", err.text);
	}
	memset(name, 'n', sizeof(name));
	name[LOCK_NAME_MAX] = '\0';
	check(lock_name_check(name, &err), "%d bytes are a name",
	      LOCK_NAME_MAX);
	name[LOCK_NAME_MAX] = 'n';
	name[LOCK_NAME_MAX + 1] = '\0';
	check(!lock_name_check(name, &err) && err.status == STATUS_USAGE,
	      "one byte more is too long (%s)", err.text);
}

#define CHANNEL_ID "rlock1:o:1:2:3::0123456789abcdef0123456789abcdef"

/* The helpers of a lock: its keys, and the channel of a waiter. */
enum helper {
	FENCE,
	QUEUE,
	SEEN,
	TURN,
	HELPERS
};

static const char *const ends[HELPERS] = { "fence", "queue", "seen",
					   "turn:" CHANNEL_ID };

static void make_helper(char key[static LOCK_CHANNEL_MAX], const char *name,
			enum helper helper)
{
	static struct lock lock;
	static struct token id;

	lock_init(&lock, NULL, name, 1000);
	token_use(&id, CHANNEL_ID);
	if (helper == TURN)
		lock_channel(&lock, &id, key);
	else
		strcpy(key, helper == FENCE   ? lock.fence_key
			    : helper == QUEUE ? lock.queue_key
					      : lock.seen_key);
}

/* Is the helper of the name what stands before its end? */
static bool helper_is(const char *name, enum helper helper, const char *before)
{
	static char key[LOCK_CHANNEL_MAX];
	size_t len = strlen(before);

	make_helper(key, name, helper);
	return !strncmp(key, before, len) && !strcmp(key + len, ends[helper]);
}

static void test_helpers(void)
{
	static const struct {
		const char *name;
		const char *before;
	} rows[] = {
		{ "x", "rlock:{x}:" },	       { "{x}", "rlock:={x}:" },
		{ "a{x}b", "rlock:=a{x}b:" },  { "a}b", "rlock:{a}b}:" },
		{ "{a}b}", "rlock:={a}b}:" },  { "{}x", "rlock:{{}x}:" },
		{ "{}{x}", "rlock:{{}{x}}:" }, { "{x", "rlock:{{x}:" },
		{ "}{x}", "rlock:=}{x}:" },    { "%s%n", "rlock:{%s%n}:" },
	};
	char before[LOCK_NAME_MAX + 16];
	char name[LOCK_NAME_MAX + 1];
	enum helper helper;
	size_t i;

	for (helper = FENCE; helper < HELPERS; helper++) {
		for (i = 0; i < COUNT(rows); i++)
			check(helper_is(rows[i].name, helper, rows[i].before),
			      "of '%s' it is '%s%s'", rows[i].name,
			      rows[i].before, ends[helper]);
		memset(name, 'n', sizeof(name));
		name[LOCK_NAME_MAX] = '\0';
		snprintf(before, sizeof(before), "rlock:{%s}:", name);
		check(helper_is(name, helper, before),
		      "the longest name has one, and whole");
		name[0] = '{';
		name[2] = '}';
		snprintf(before, sizeof(before), "rlock:=%s:", name);
		check(helper_is(name, helper, before),
		      "so has the longest with a tag");
	}
}

static void test_longest_channel(void)
{
	static char channel[LOCK_CHANNEL_MAX];
	static struct lock lock;
	static struct token id;
	char name[LOCK_NAME_MAX + 1];

	memset(name, 'n', sizeof(name));
	name[LOCK_NAME_MAX] = '\0';
	lock_init(&lock, NULL, name, 1000);
	memset(id.text, 'i', TOKEN_MAX);
	id.len = TOKEN_MAX;
	lock_channel(&lock, &id, channel);
	check(strlen(channel) == LOCK_NAME_MAX + 14 + TOKEN_MAX &&
		      !strcmp(channel + LOCK_NAME_MAX + 14, id.text),
	      "the longest id of the longest name has a channel, and whole");
}

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* x, {x}, a}b, {a}b}, and all names of up to four characters over "a{ }". */
static void test_all_names(void)
{
	static const char alphabet[] = "a{ }";
	static char names[4 + 4 + 16 + 64 + 256][8] = { "x", "{x}", "a}b",
							"{a}b}" };
	static char keys[(HELPERS + 1) * COUNT(names)][LOCK_CHANNEL_MAX];
	size_t used = 0;
	size_t count = 4;
	int refused = 0;
	int astray = 0;
	int twins = 0;
	size_t len;
	size_t i;

	for (len = 1; len <= 4; len++) {
		size_t most = (size_t)1 << 2 * len;
		size_t number;

		for (number = 0; number < most; number++, count++)
			for (i = 0; i < len; i++)
				names[count][i] = alphabet[number >> 2 * i & 3];
	}
	check(count == COUNT(names), "there are %zu names", count);
	for (i = 0; i < count; i++) {
		enum helper helper;
		struct error err;

		if (!lock_name_check(names[i], &err))
			refused++;
		strcpy(keys[used++], names[i]);
		for (helper = FENCE; helper < HELPERS; helper++) {
			make_helper(keys[used], names[i], helper);
			if (slot(keys[used++]) != slot(names[i]) &&
			    (has_tag(names[i]) || !strchr(names[i], '}')))
				astray++;
		}
	}
	qsort(keys, used, sizeof(keys[0]), compare);
	for (i = 1; i < used; i++)
		twins += !strcmp(keys[i - 1], keys[i]);
	check(!refused, "[42] all of them are names of locks (%d)", refused);
	check(!twins, "[42] no two locks or helpers share a key (%d)", twins);
	check(!astray,
	      "[42] each helper is in the slot of its lock, unless the name "
	      "has a "
	      "brace that closes and no tag (%d)",
	      astray);
}

static void test_place(void)
{
	static struct token id;
	struct place place;

	memset(&place, 0xff, sizeof(place));
	token_use(&id, "i");
	place_init(&place, &id);
	check(place.id == &id && place.before == -1 && place.due == -1 &&
		      !place.joined && !place.known && !place.called,
	      "a waiter starts in no line");
	check(!strcmp(place.ticket, "0"), "and without a ticket");
}

static void test_init(void)
{
	static struct lock lock;

	memset(&lock, 0xff, sizeof(lock));
	lock_init(&lock, NULL, "k", 1500);
	check(!strcmp(lock.name, "k") && lock.ttl == 1500 && !lock.fence,
	      "a lock starts with its name, its TTL and no fence");
	check(lock.lease_end == CLOCK_NEVER && lock.doubt == -1,
	      "with no lease that could end and in no doubt");
}

int main(void)
{
	test_slot();
	test_check();
	test_helpers();
	test_longest_channel();
	test_all_names();
	test_init();
	test_place();
	return test_end();
}
