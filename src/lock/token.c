/* token.c - the value of a lock: make one, read one */
#include "lock/token.h"

#include "base/escape.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NUMBER_DIGITS_MAX 18 /* always fits 64 bits */

static bool make_nonce(char nonce[static TOKEN_NONCE_LEN + 1],
		       struct error *err)
{
	unsigned char bits[TOKEN_NONCE_LEN / 2];
	size_t i;

	/* So few bytes come whole or not at all; a signal can only interrupt
	 * the wait for the pool at boot.  The system call itself: what newer C
	 * libraries do instead has to be set up, and this is done once. */
	while (syscall(SYS_getrandom, bits, sizeof(bits), 0) !=
	       (long)sizeof(bits))
		if (errno != EINTR)
			return error_errno(err, STATUS_SYSTEM, errno,
					   "no random bits from the kernel");
	for (i = 0; i < sizeof(bits); i++)
		snprintf(nonce + 2 * i, 3, "%02x", (unsigned int)bits[i]);
	return true;
}

bool token_make(struct token *token, const char *owner, long pid, msec ttl,
		const char *message, struct error *err)
{
	char name[3 * TOKEN_OWNER_MAX + 1];
	char why[3 * TOKEN_MESSAGE_MAX + 1];
	char nonce[TOKEN_NONCE_LEN + 1];

	if (!make_nonce(nonce, err))
		return false;
	percent_encode(name, owner, strlen(owner));
	percent_encode(why, message, strlen(message));
	token->made = true;
	token->prefix =
		(size_t)snprintf(token->text, sizeof(token->text),
				 "rlock1:%s:%ld:%" PRId64 ":", name, pid, ttl);
	snprintf(token->suffix, sizeof(token->suffix), ":%s:%s", why, nonce);
	token_stamp(token, clock_wall());
	return true;
}

void token_use(struct token *token, const char *text)
{
	token->made = false;
	token->len = strlen(text);
	memcpy(token->text, text, token->len + 1);
}

void token_stamp(struct token *token, msec since)
{
	size_t room = sizeof(token->text) - token->prefix;

	if (!token->made)
		return;
	if (since < 0)
		since = 0; /* a wall clock before 1970 */
	token->len = token->prefix +
		     (size_t)snprintf(token->text + token->prefix, room,
				      "%" PRId64 "%s", since, token->suffix);
}

bool token_make_id(struct token *id, const struct token *token,
		   const char *owner, long pid, msec ttl, msec since,
		   struct error *err)
{
	if (!token_make(id, owner, pid, ttl, "", err))
		return false;
	if (token->made)
		memcpy(id->suffix + strlen(id->suffix) - TOKEN_NONCE_LEN,
		       token->text + token->len - TOKEN_NONCE_LEN,
		       TOKEN_NONCE_LEN);
	token_stamp(id, since);
	return true;
}

/* A decimal without sign or leading zero, at most most. */
static bool read_number(const char *text, size_t len, msec most, msec *number)
{
	msec value = 0;
	size_t i;

	if (!len || len > NUMBER_DIGITS_MAX || (text[0] == '0' && len > 1))
		return false;
	for (i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (text[i] - '0');
	}
	*number = value;
	return value <= most;
}

static bool is_nonce(const char *text, size_t len)
{
	size_t i;

	if (len != TOKEN_NONCE_LEN)
		return false;
	for (i = 0; i < len; i++)
		if (!text[i] || !strchr("0123456789abcdef", text[i]))
			return false;
	return true;
}

enum {
	VERSION,
	OWNER,
	PID,
	TTL,
	SINCE,
	MESSAGE,
	NONCE,
	FIELDS
};

/* Cuts the text at its colons; false unless that gives FIELDS pieces. */
static bool split(const char *text, size_t len, const char *at[FIELDS],
		  size_t size[FIELDS])
{
	const char *end = text + len;
	int i;

	for (i = 0; i < FIELDS; i++) {
		const char *colon = memchr(text, ':', (size_t)(end - text));

		if ((colon == NULL) != (i == NONCE))
			return false;
		at[i] = text;
		size[i] = (size_t)((colon ? colon : end) - text);
		text = colon ? colon + 1 : end;
	}
	return true;
}

bool token_parse(const char *text, size_t len, struct token_fields *fields)
{
	const char *at[FIELDS];
	size_t size[FIELDS];
	size_t decoded;
	msec pid = 0;

	if (len > TOKEN_MAX || !split(text, len, at, size))
		return false;
	if (size[VERSION] != 6 || memcmp(at[VERSION], "rlock1", 6) ||
	    !size[OWNER] || !is_nonce(at[NONCE], size[NONCE]))
		return false;
	if (!read_number(at[PID], size[PID], INT_MAX, &pid) ||
	    !read_number(at[TTL], size[TTL], INT64_MAX, &fields->ttl) ||
	    !read_number(at[SINCE], size[SINCE], INT64_MAX, &fields->since))
		return false;
	fields->pid = (long)pid;
	return percent_decode_strict(fields->owner, TOKEN_OWNER_MAX, at[OWNER],
				     size[OWNER], &decoded) &&
	       percent_decode_strict(fields->message, TOKEN_MESSAGE_MAX,
				     at[MESSAGE], size[MESSAGE], &decoded);
}
