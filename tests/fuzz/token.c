/* token.c - the value of a lock, which anybody may have written */
#include "lock/token.h"

#include "base/escape.h"
#include "fuzz.h"

#include <inttypes.h>
#include <stdio.h>

/* A token that was read says all that is in it: the fields make it again. */
static void check_fields(const char *text, size_t size,
			 const struct token_fields *f)
{
	char owner[3 * TOKEN_OWNER_MAX + 1];
	char message[3 * TOKEN_MESSAGE_MAX + 1];
	char again[TOKEN_MAX + 1];
	int len;

	must(*f->owner && f->pid >= 0 && f->ttl >= 0 && f->since >= 0);
	must(size <= TOKEN_MAX && strlen(text) == size);
	must(fuzz_is_printable(text) &&
	     !strpbrk(text, " \t'\"$&;|<>()*?[]~\\"));
	percent_encode(owner, f->owner, strlen(f->owner));
	percent_encode(message, f->message, strlen(f->message));
	len = snprintf(again, sizeof(again),
		       "rlock1:%s:%ld:%" PRId64 ":%" PRId64 ":%s:%s", owner,
		       f->pid, f->ttl, f->since, message,
		       text + size - TOKEN_NONCE_LEN);
	must((size_t)len == size && !memcmp(again, text, size));
}

/* Whatever owner and message are, the token made of them is one, and says so. */
static void check_made(const char *text)
{
	const char *colon = strchr(text, ':');
	const char *why = colon ? colon + 1 : "";
	struct token_fields f;
	struct token token;
	struct token id;
	struct error err;
	char *owner;

	owner = fuzz_text((const uint8_t *)text,
			  colon ? (size_t)(colon - text) : strlen(text));
	if (*owner && strlen(owner) <= TOKEN_OWNER_MAX &&
	    strlen(why) <= TOKEN_MESSAGE_MAX) {
		must(token_make(&token, owner, 1, 60000, why, &err));
		token_stamp(&token, 42);
		must(token_parse(token.text, token.len, &f));
		must(f.since == 42 && f.pid == 1 && f.ttl == 60000);
		must(!strcmp(f.owner, owner) && !strcmp(f.message, why));
		check_fields(token.text, token.len, &f);
		must(token_make_id(&id, &token, owner, 2, 0, 43, &err));
		must(token_parse(id.text, id.len, &f));
		must(f.since == 43 && f.pid == 2 && !*f.message);
	}
	free(owner);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	struct token_fields fields;

	if (token_parse(text, size, &fields))
		check_fields(text, size, &fields);
	check_made(text);
	free(text);
	return 0;
}
