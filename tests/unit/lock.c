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

static void fence_key(char key[static LOCK_NAME_MAX + 16], const char *name)
{
	static struct lock lock;

	lock_init(&lock, NULL, name, 1000);
	strcpy(key, lock.fence_key);
}

static void test_fence_key(void)
{
	static const struct {
		const char *name;
		const char *key;
	} rows[] = {
		{ "x", "rlock:{x}:fence" },
		{ "{x}", "rlock:={x}:fence" },
		{ "a{x}b", "rlock:=a{x}b:fence" },
		{ "a}b", "rlock:{a}b}:fence" },
		{ "{a}b}", "rlock:={a}b}:fence" },
		{ "{}x", "rlock:{{}x}:fence" },
		{ "{}{x}", "rlock:{{}{x}}:fence" },
		{ "{x", "rlock:{{x}:fence" },
		{ "}{x}", "rlock:=}{x}:fence" },
		{ "%s%n", "rlock:{%s%n}:fence" },
	};
	static char key[LOCK_NAME_MAX + 16];
	char name[LOCK_NAME_MAX + 1];
	size_t i;

	for (i = 0; i < COUNT(rows); i++) {
		fence_key(key, rows[i].name);
		check(!strcmp(key, rows[i].key), "the fence of '%s' is '%s'",
		      rows[i].name, key);
	}
	memset(name, 'n', sizeof(name));
	name[LOCK_NAME_MAX] = '\0';
	fence_key(key, name);
	check(strlen(key) == LOCK_NAME_MAX + 14 &&
		      !strncmp(key, "rlock:{nn", 9) &&
		      !strcmp(key + LOCK_NAME_MAX + 6, "n}:fence"),
	      "the longest name has a fence, and whole");
	name[0] = '{';
	name[2] = '}';
	fence_key(key, name);
	check(strlen(key) == LOCK_NAME_MAX + 13 &&
		      !strcmp(key + LOCK_NAME_MAX + 6, "n:fence"),
	      "so has the longest with a tag");
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
	static char keys[2 * COUNT(names)][LOCK_NAME_MAX + 16];
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
		struct error err;

		if (!lock_name_check(names[i], &err))
			refused++;
		fence_key(keys[i], names[i]);
		strcpy(keys[count + i], names[i]);
		if (slot(keys[i]) != slot(names[i]) &&
		    (has_tag(names[i]) || !strchr(names[i], '}')))
			astray++;
	}
	qsort(keys, 2 * count, sizeof(keys[0]), compare);
	for (i = 1; i < 2 * count; i++)
		twins += !strcmp(keys[i - 1], keys[i]);
	check(!refused, "all of them are names of locks (%d)", refused);
	check(!twins, "no two locks or fences share a key (%d)", twins);
	check(!astray,
	      "each fence is in the slot of its lock, unless the name has a "
	      "brace that closes and no tag (%d)",
	      astray);
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
	test_fence_key();
	test_all_names();
	test_init();
	return test_end();
}
