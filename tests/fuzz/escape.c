/* escape.c - foreign text on its way to people, programs and shells */
#include "base/escape.h"

#include "fuzz.h"
#include "json.h"

#include <stdio.h>

/* At any size it fits and is printable; whole, it can be undone. */
static void check_display(const char *text, size_t len, size_t size)
{
	size_t room = 4 * len + 8;
	char *whole = malloc(room);
	char *cut = malloc(size);
	size_t kept;

	must(whole && cut);
	must(escape_display(whole, room, text, len) == whole);
	must(escape_display(cut, size, text, len) == cut);
	must(strlen(whole) < room && fuzz_is_printable(whole));
	must(strlen(cut) < size && fuzz_is_printable(cut));
	must(escape_columns(whole) <= strlen(whole));
	if (strcmp(cut, whole)) {
		kept = strlen(cut);
		must(kept >= 3 && !strcmp(cut + kept - 3, "..."));
		must(!strncmp(cut, whole, kept - 3));
		must(strlen(whole) >= size);
	}
	free(whole);
	free(cut);
}

/* Undoes what escape_display did. */
static void check_undone(const char *text, size_t len)
{
	size_t room = 4 * len + 8;
	char *shown = malloc(room);
	const char *p = shown;
	unsigned int byte;
	size_t i;

	must(shown);
	escape_display(shown, room, text, len);
	for (i = 0; i < len; i++) {
		char c = *p++;

		if (c == '\\') {
			c = *p++;
			if (c == 'x') {
				must(sscanf(p, "%2X", &byte) == 1);
				p += 2;
				c = (char)byte;
			} else {
				must(c == 'n' || c == 't' || c == '\\');
				c = c == 'n' ? '\n' : c == 't' ? '\t' : c;
			}
		}
		must(c == text[i]);
	}
	must(!*p);
	free(shown);
}

/* It is JSON, and a reader of it has what escape_stray promises. */
static void check_json(const char *text, size_t len)
{
	char *json = escape_json(text, len);
	char *decoded = malloc(6 * len + 1);
	char *expected = malloc(4 * len + 1);
	char *quoted;

	must(json && decoded && expected);
	must(strlen(json) <= 6 * len && fuzz_is_printable(json));
	quoted = malloc(strlen(json) + 3);
	must(quoted);
	sprintf(quoted, "\"%s\"", json);
	must(json_is_valid(quoted));
	escape_stray(expected, text, len);
	json_decode(decoded, json);
	if (!memchr(text, '\0', len))
		must(!strcmp(decoded, expected));
	free(quoted);
	free(expected);
	free(decoded);
	free(json);
}

/* A shell takes it for the text again: quotes, and \' between two of them. */
static void check_shell(const char *text)
{
	char *quoted = escape_shell(text);
	const char *p = quoted;

	must(p && *p++ == '\'');
	for (; *text; text++) {
		if (*p == '\'') {
			must(!strncmp(p, "'\\''", 4) && *text == '\'');
			p += 4;
		} else {
			must(*p++ == *text);
		}
	}
	must(!strcmp(p, "'"));
	free(quoted);
}

static void check_percent(const char *text, size_t len)
{
	char *code = malloc(3 * len + 1);
	char *back = malloc(len + 1);
	size_t decoded = 0;
	size_t n;

	must(code && back);
	n = percent_encode(code, text, len);
	must(n <= 3 * len && strlen(code) == n);
	must(strspn(code, "%-._@0123456789abcdefghijklmnopqrstuvwxyz"
			  "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == n);
	if (!memchr(text, '\0', len)) {
		must(percent_decode_strict(back, len, code, n, &decoded));
		must(decoded == len && !memcmp(back, text, len));
	}
	/* The other way round: what is read strictly has one form. */
	if (percent_decode_strict(back, len, text, len, &decoded)) {
		must(percent_encode(code, back, decoded) == len);
		must(!memcmp(code, text, len));
	}
	memcpy(back, text, len + 1);
	if (percent_decode_url(back))
		must(strlen(back) <= len);
	free(code);
	free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);

	check_display(text, size, 8 + (size ? data[0] : 0));
	check_undone(text, size);
	check_json(text, size);
	check_shell(text);
	check_percent(text, size);
	must(escape_characters(text, size, 3) <= size);
	must(escape_characters(text, size, size) == size);
	free(text);
	return 0;
}
