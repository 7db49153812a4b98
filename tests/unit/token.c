/* token.c - the value of a lock: make one, read one */
#include "lock/token.h"

#include "base/escape.h"

#include "test.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NONCE "0123456789abcdef0123456789abcdef"

/* The same numbers in every run. */
static unsigned int next_random(void)
{
	static uint64_t state = 42;

	state = state * 6364136223846793005U + 1442695040888963407U;
	return (unsigned int)(state >> 33);
}

/* Text of any bytes but NUL. */
static void random_text(char *buf, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		buf[i] = (char)(1 + next_random() % 255);
	buf[len] = '\0';
}

/* Is it what a shell and a terminal can be given as it is? */
static bool is_tame(const char *text)
{
	return text[strspn(text, "abcdefghijklmnopqrstuvwxyz"
				 "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				 "0123456789%:-._@")] == '\0';
}

/* Would token_make have written this, given what was read from it? */
static bool is_canonical(const char *text, size_t len,
			 const struct token_fields *fields)
{
	char owner[3 * TOKEN_OWNER_MAX + 1];
	char message[3 * TOKEN_MESSAGE_MAX + 1];
	char nonce[TOKEN_NONCE_LEN + 1];
	char again[2 * TOKEN_MAX];
	int n;

	memcpy(nonce, text + len - TOKEN_NONCE_LEN, TOKEN_NONCE_LEN);
	nonce[TOKEN_NONCE_LEN] = '\0';
	if (strspn(nonce, "0123456789abcdef") < TOKEN_NONCE_LEN)
		return false;
	percent_encode(owner, fields->owner, strlen(fields->owner));
	percent_encode(message, fields->message, strlen(fields->message));
	n = snprintf(again, sizeof(again),
		     "rlock1:%s:%ld:%" PRId64 ":%" PRId64 ":%s:%s", owner,
		     fields->pid, fields->ttl, fields->since, message, nonce);
	return (size_t)n == len && !memcmp(again, text, len);
}

static void test_round_trip(void)
{
	static struct token token;
	static struct token_fields fields;
	struct error err;
	int wrong = 0;
	int wild = 0;
	int i;

	for (i = 0; i < 1000; i++) {
		char owner[TOKEN_OWNER_MAX + 1];
		char message[TOKEN_MESSAGE_MAX + 1];
		long pid = (long)(next_random() & INT32_MAX);
		msec ttl = (msec)next_random() * (next_random() % 4096);

		random_text(owner, 1 + next_random() % TOKEN_OWNER_MAX);
		random_text(message, next_random() % (TOKEN_MESSAGE_MAX + 1));
		if (!token_make(&token, owner, pid, ttl, message, &err) ||
		    token.len != strlen(token.text) ||
		    !token_parse(token.text, token.len, &fields) ||
		    strcmp(fields.owner, owner) ||
		    strcmp(fields.message, message) || fields.pid != pid ||
		    fields.ttl != ttl ||
		    !is_canonical(token.text, token.len, &fields))
			wrong++;
		wild += !is_tame(token.text);
	}
	check(!wrong, "any owner and message come back (%d)", wrong);
	check(!wild, "[43] no token has anything a shell would touch (%d)",
	      wild);
}

static void test_example(void)
{
	static struct token token;
	static struct token_fields fields;
	struct error err;
	msec before = clock_wall();

	check(token_make(&token, "alice@web3", 4711, 30000, "deploy v1.2~",
			 &err),
	      "a token can be made");
	check(token.made &&
		      !strncmp(token.text, "rlock1:alice@web3:4711:30000:", 29),
	      "it starts with who and how long (%s)", token.text);
	check(strstr(token.text, ":deploy%20v1.2%7E:") != NULL,
	      "it says why (%s)", token.text);
	check(token_parse(token.text, token.len, &fields) &&
		      fields.since >= before && fields.since <= clock_wall(),
	      "SINCE is the present");
}

static void test_longest(void)
{
	static struct token token;
	static struct token_fields fields;
	char owner[TOKEN_OWNER_MAX + 1];
	char message[TOKEN_MESSAGE_MAX + 1];
	static char text[TOKEN_MAX * 2];
	struct error err;
	int n;

	memset(owner, '\xff', sizeof(owner) - 1);
	owner[sizeof(owner) - 1] = '\0';
	memset(message, '\xfe', sizeof(message) - 1);
	message[sizeof(message) - 1] = '\0';
	check(token_make(&token, owner, INT32_MAX, 999999999999999999, message,
			 &err),
	      "the longest token can be made");
	token_stamp(&token, 999999999999999999);
	check(token.len == strlen(token.text) && token.len <= TOKEN_MAX,
	      "it is no longer than any token may be (%zu)", token.len);
	check(token_parse(token.text, token.len, &fields) &&
		      !strcmp(fields.owner, owner) &&
		      !strcmp(fields.message, message) &&
		      fields.since == 999999999999999999,
	      "it comes back");

	for (n = TOKEN_OWNER_MAX; n <= TOKEN_OWNER_MAX + 1; n++) {
		int len = snprintf(text, sizeof(text),
				   "rlock1:%0*d:1:2:3::" NONCE, n, 0);

		check(token_parse(text, (size_t)len, &fields) ==
			      (n <= TOKEN_OWNER_MAX),
		      "an owner of %d bytes is %s", n,
		      n <= TOKEN_OWNER_MAX ? "ours" : "foreign");
	}
	for (n = TOKEN_MESSAGE_MAX; n <= TOKEN_MESSAGE_MAX + 1; n++) {
		int len = snprintf(text, sizeof(text),
				   "rlock1:o:1:2:3:%0*d:" NONCE, n, 0);

		check(token_parse(text, (size_t)len, &fields) ==
			      (n <= TOKEN_MESSAGE_MAX),
		      "a message of %d bytes is %s", n,
		      n <= TOKEN_MESSAGE_MAX ? "ours" : "foreign");
	}
}

static void test_foreign(void)
{
	static const char *const ours[] = {
		"rlock1:o:1:2:3::" NONCE,
		"rlock1:o:0:0:0:m:" NONCE,
		"rlock1:a@b@c:2147483647:2:3:m:" NONCE,
		"rlock1:%20:1:2:3:%FF%25:" NONCE,
		"rlock1:o:1:999999999999999999:999999999999999999:m:" NONCE,
	};
	static const char *const foreign[] = {
		"",
		":",
		"::::::",
		"rlock1",
		"rlock1:",
		NONCE,
		"6ba7b8109dad11d180b400c04fd430c8",
		"rlock1:o:1:2:3:m",
		"rlock1:o:1:2:3:m:",
		"rlock1:o:1:2:3:" NONCE,
		"rlock1:o:1:2:3:m::" NONCE,
		"rlock1:o:1:2:3:m:n:" NONCE,
		"rlock1:o:1:2:3:m:" NONCE ":",
		"rlock1:o:1:2:3:m:" NONCE "\n",
		"rlock1:o:1:2:3:m:" NONCE "0",
		"rlock1:o:1:2:3:m:0123456789abcdef0123456789abcde",
		"rlock1:o:1:2:3:m:0123456789abcdef0123456789abcdeg",
		"rlock1:o:1:2:3:m:0123456789ABCDEF0123456789ABCDEF",
		"\nrlock1:o:1:2:3:m:" NONCE,
		"rlock2:o:1:2:3:m:" NONCE,
		"Rlock1:o:1:2:3:m:" NONCE,
		"rlock:o:1:2:3:m:" NONCE,
		"rlock1::1:2:3:m:" NONCE,
		"rlock1:o::2:3:m:" NONCE,
		"rlock1:o:1::3:m:" NONCE,
		"rlock1:o:1:2::m:" NONCE,
		"rlock1:o:01:2:3:m:" NONCE,
		"rlock1:o:1:02:3:m:" NONCE,
		"rlock1:o:1:2:03:m:" NONCE,
		"rlock1:o:1:00:3:m:" NONCE,
		"rlock1:o:-1:2:3:m:" NONCE,
		"rlock1:o:+1:2:3:m:" NONCE,
		"rlock1:o: 1:2:3:m:" NONCE,
		"rlock1:o:1:-2:3:m:" NONCE,
		"rlock1:o:1:2:-3:m:" NONCE,
		"rlock1:o:0x1:2:3:m:" NONCE,
		"rlock1:o:1.5:2:3:m:" NONCE,
		"rlock1:o:2147483648:2:3:m:" NONCE,
		"rlock1:o:1:1000000000000000000:3:m:" NONCE,
		"rlock1:o:1:2:9223372036854775808:m:" NONCE,
		"rlock1:o:1:99999999999999999999999999:3:m:" NONCE,
		"rlock1:o o:1:2:3:m:" NONCE,
		"rlock1:~:1:2:3:m:" NONCE,
		"rlock1:%41:1:2:3:m:" NONCE,
		"rlock1:%ff:1:2:3:m:" NONCE,
		"rlock1:%00:1:2:3:m:" NONCE,
		"rlock1:%:1:2:3:m:" NONCE,
		"rlock1:o:1:2:3:%:" NONCE,
		"rlock1:o:1:2:3:%2:" NONCE,
		"rlock1:o:1:2:3:a b:" NONCE,
		"rlock1:o:1:2:3:\xc3\xbc:" NONCE,
	};
	static struct token_fields fields;
	static const char nul[] = "rlock1:o:1:2:3:m:" NONCE;
	static char longest[TOKEN_MAX + 1];
	size_t i;

	for (i = 0; i < COUNT(ours); i++)
		check(token_parse(ours[i], strlen(ours[i]), &fields) &&
			      is_canonical(ours[i], strlen(ours[i]), &fields),
		      "'%s' is ours", ours[i]);
	for (i = 0; i < COUNT(foreign); i++)
		check(!token_parse(foreign[i], strlen(foreign[i]), &fields),
		      "'%s' is foreign", foreign[i]);
	check(!token_parse(nul, sizeof(nul), &fields),
	      "a NUL at the end is foreign");
	memset(longest, ':', sizeof(longest));
	check(!token_parse(longest, sizeof(longest), &fields),
	      "more than a token may hold is foreign");
}

/* Counts the one-byte changes of the token that are read as ours and yet are
 * not what token_make would have written. */
static int count_lies(const char *text, size_t len, int *read)
{
	static struct token_fields fields;
	char *copy = malloc(len + 1);
	size_t at;
	int lies = 0;
	int c;

	if (!copy)
		abort();
	for (at = 0; at <= len; at++) {
		for (c = 0; c < 256; c++) {
			/* replaced */
			memcpy(copy, text, len);
			copy[at < len ? at : 0] = (char)c;
			if (at < len && token_parse(copy, len, &fields)) {
				(*read)++;
				lies += !is_canonical(copy, len, &fields);
			}
			/* inserted */
			memcpy(copy, text, at);
			copy[at] = (char)c;
			memcpy(copy + at + 1, text + at, len - at);
			if (token_parse(copy, len + 1, &fields)) {
				(*read)++;
				lies += !is_canonical(copy, len + 1, &fields);
			}
		}
		/* left out */
		memcpy(copy, text, len);
		if (at < len)
			memmove(copy + at, copy + at + 1, len - at - 1);
		if (at < len && token_parse(copy, len - 1, &fields)) {
			(*read)++;
			lies += !is_canonical(copy, len - 1, &fields);
		}
		/* cut off: never a token */
		if (at < len && token_parse(text, at, &fields))
			lies++;
	}
	free(copy);
	return lies;
}

static void test_mutations(void)
{
	static const char *const tokens[] = {
		"rlock1:o:1:0:10::" NONCE,
		"rlock1:alice@web3:4711:30000:1700000000000:v1.2:" NONCE,
		"rlock1:a%20%FF%25:2147483647:100:3:%0A%7E-:" NONCE,
	};
	size_t i;

	for (i = 0; i < COUNT(tokens); i++) {
		int read = 0;
		int lies = count_lies(tokens[i], strlen(tokens[i]), &read);

		check(!lies,
		      "any byte changed, added or left out makes '%s' foreign "
		      "or another canonical token (%d)",
		      tokens[i], lies);
		check(read > 500, "and both happen (%d)", read);
	}
}

static void test_stamp(void)
{
	static struct token token;
	static struct token before;
	static struct token_fields fields;
	static const char text[] = "rlock1:o:1:2:3:m:" NONCE;
	static const msec times[] = { 0, 1, 999999999999, 1700000000000,
				      INT32_MAX };
	struct error err;
	size_t i;

	token_make(&token, "alice@web3", 4711, 30000, "why", &err);
	before = token;
	for (i = 0; i < COUNT(times); i++) {
		token_stamp(&token, times[i]);
		check(token.len == strlen(token.text) &&
			      token_parse(token.text, token.len, &fields) &&
			      fields.since == times[i],
		      "it can be stamped with %" PRId64 " (%s)", times[i],
		      token.text);
		check(!memcmp(token.text, before.text, token.prefix) &&
			      !strcmp(token.text + token.len -
					      strlen(":why:" NONCE),
				      before.text + before.len -
					      strlen(":why:" NONCE)),
		      "the rest stays, the nonce too");
	}
	token_stamp(&token, -5);
	check(token_parse(token.text, token.len, &fields) && !fields.since,
	      "a clock before 1970 stamps 0");

	token_use(&token, text);
	token_stamp(&token, 77);
	check(!token.made && token.len == strlen(text) &&
		      !strcmp(token.text, text),
	      "a token that was given is never stamped");
}

static void test_use(void)
{
	static struct token token;
	static char text[TOKEN_MAX + 1];

	token_use(&token, "x");
	check(token.len == 1 && !strcmp(token.text, "x"),
	      "one byte is taken as it is");
	token_use(&token, "a b\n\xff\"'");
	check(token.len == 7 && !strcmp(token.text, "a b\n\xff\"'"),
	      "any bytes are taken as they are");
	memset(text, 'x', TOKEN_MAX);
	token_use(&token, text);
	check(token.len == TOKEN_MAX && !strcmp(token.text, text),
	      "%d bytes are taken as they are", TOKEN_MAX);
}

/* --- who waits --------------------------------------------------------- */

static bool same_nonce(const struct token *a, const struct token *b)
{
	return !memcmp(a->text + a->len - TOKEN_NONCE_LEN,
		       b->text + b->len - TOKEN_NONCE_LEN, TOKEN_NONCE_LEN);
}

static void test_make_id(void)
{
	static struct token token;
	static struct token id;
	static struct token other;
	static struct token_fields fields;
	struct error err;

	token_make(&token, "alice@web3", 4711, 30000, "deploy v1.2~", &err);
	check(token_make_id(&id, &token, "alice@web3", 4711, 30000,
			    1700000000123, &err),
	      "an id can be made for a token");
	check(id.len == strlen(id.text) &&
		      !strncmp(id.text,
			       "rlock1:alice@web3:4711:30000:"
			       "1700000000123::",
			       44),
	      "it says who waits, since when, and no message (%s)", id.text);
	check(token_parse(id.text, id.len, &fields) &&
		      is_canonical(id.text, id.len, &fields) &&
		      fields.since == 1700000000123 && !*fields.message,
	      "it is formed like a token");
	check(same_nonce(&id, &token), "its nonce is the token's");
	token_stamp(&token, 1700000009999);
	check(same_nonce(&id, &token) && strcmp(id.text, token.text) != 0,
	      "also when the token is stamped for a later attempt");
	token_make_id(&other, &token, "bob", 1, 0, 5, &err);
	check(same_nonce(&other, &id) &&
		      !strncmp(other.text, "rlock1:bob:1:0:5::", 18),
	      "owner, pid and TTL are those given (%s)", other.text);
}

static void test_make_id_for_given(void)
{
	static const char ours[] = "rlock1:o:1:2:3:m:" NONCE;
	static const char *const texts[] = { "t", ours, "" };
	static struct token token;
	static struct token one;
	static struct token two;
	static struct token_fields fields;
	struct error err;
	size_t i;

	for (i = 0; i < COUNT(texts); i++) {
		token_use(&token, texts[i]);
		check(token_make_id(&one, &token, "o", 1, 2, 3, &err) &&
			      token_make_id(&two, &token, "o", 1, 2, 3, &err) &&
			      token_parse(one.text, one.len, &fields),
		      "ids can be made for the given token '%s'", texts[i]);
		check(!same_nonce(&one, &two) && !strstr(one.text, NONCE) &&
			      !strstr(two.text, NONCE),
		      "and each has a nonce of its own");
		check(!strcmp(token.text, texts[i]), "the token stays");
	}
}

static void test_longest_id(void)
{
	static struct token token;
	static struct token id;
	static struct token_fields fields;
	char owner[TOKEN_OWNER_MAX + 1];
	char message[TOKEN_MESSAGE_MAX + 1];
	struct error err;

	memset(owner, '\xff', sizeof(owner) - 1);
	owner[sizeof(owner) - 1] = '\0';
	memset(message, '\xfe', sizeof(message) - 1);
	message[sizeof(message) - 1] = '\0';
	token_make(&token, owner, INT32_MAX, 999999999999999999, message, &err);
	check(token_make_id(&id, &token, owner, INT32_MAX, 999999999999999999,
			    999999999999999999, &err) &&
		      id.len == strlen(id.text) && id.len < 1000,
	      "the longest id is a short one (%zu)", id.len);
	check(token_parse(id.text, id.len, &fields) &&
		      !strcmp(fields.owner, owner) &&
		      fields.since == 999999999999999999 &&
		      same_nonce(&id, &token),
	      "it comes back");
	check(token_make_id(&id, &token, "o", 1, 0, -5, &err) &&
		      token_parse(id.text, id.len, &fields) && !fields.since,
	      "a wait that began before 1970 began at 0");
}

/* --- different --------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, TOKEN_NONCE_LEN);
}

static void new_nonce(char nonce[static TOKEN_NONCE_LEN])
{
	static struct token token;
	struct error err;

	memset(nonce, '-', TOKEN_NONCE_LEN);
	if (token_make(&token, "o", 1, 0, "", &err))
		memcpy(nonce, token.text + token.len - TOKEN_NONCE_LEN,
		       TOKEN_NONCE_LEN);
}

/* Children that start as exact copies of this process. */
static bool nonces_of_children(char (*nonces)[TOKEN_NONCE_LEN], size_t count)
{
	int ends[2];
	size_t i;

	if (pipe(ends))
		return false;
	for (i = 0; i < count; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return false;
		if (!pid) {
			char nonce[TOKEN_NONCE_LEN];

			new_nonce(nonce);
			_exit(write(ends[1], nonce, sizeof(nonce)) !=
			      (ssize_t)sizeof(nonce));
		}
	}
	close(ends[1]);
	for (i = 0; i < count; i++)
		if (read(ends[0], nonces[i], TOKEN_NONCE_LEN) !=
		    TOKEN_NONCE_LEN)
			return false;
	close(ends[0]);
	while (wait(NULL) > 0)
		;
	return true;
}

static void test_different(void)
{
	static char nonces[2000][TOKEN_NONCE_LEN];
	size_t children = 20;
	int twins = 0;
	size_t i;

	fflush(stdout);
	for (i = children; i < COUNT(nonces); i++)
		new_nonce(nonces[i]);
	check(nonces_of_children(nonces, children),
	      "[37] processes that were forked make tokens");
	qsort(nonces, COUNT(nonces), sizeof(nonces[0]), compare);
	for (i = 1; i < COUNT(nonces); i++)
		twins += !compare(nonces[i - 1], nonces[i]);
	check(!twins,
	      "[37] no two tokens of one or more processes are alike (%d)",
	      twins);
}

int main(void)
{
	test_example();
	test_round_trip();
	test_longest();
	test_foreign();
	test_mutations();
	test_stamp();
	test_use();
	test_make_id();
	test_make_id_for_given();
	test_longest_id();
	test_different();
	return test_end();
}
