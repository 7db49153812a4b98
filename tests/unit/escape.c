/* escape.c - text from outside made safe, and the token's percent-encoding */
#include "base/escape.h"

#include "test.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ROOM 200 /* for any text below, escaped */

/* --- for people -------------------------------------------------------- */

static const struct {
	const char *what;
	const char *text;
	size_t len;
	const char *display;
	const char *json;
} forms[] = {
	{ "nothing", "", 0, "", "" },
	{ "plain text", "deploy v1.2", 11, "deploy v1.2", "deploy v1.2" },
	{ "punctuation", "!'$&/<>?*~`", 11, "!'$&/<>?*~`", "!'$&/<>?*~`" },
	{ "UTF-8", "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x94\x92", 15,
	  "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x94\x92",
	  "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x94\x92" },
	{ "a newline", "a\nb", 3, "a\\nb", "a\\u000ab" },
	{ "a tab", "a\tb", 3, "a\\tb", "a\\u0009b" },
	{ "a carriage return", "a\rb", 3, "a\\x0Db", "a\\u000db" },
	{ "a backslash", "a\\b", 3, "a\\\\b", "a\\\\b" },
	{ "quotes", "\"a\"", 3, "\"a\"", "\\\"a\\\"" },
	{ "a NUL", "a\0b", 3, "a\\x00b", "a\\u0000b" },
	{ "a terminal control", "\033[31m", 5, "\\x1B[31m", "\\u001b[31m" },
	{ "DEL", "\x7f", 1, "\\x7F", "\\u007f" },
	{ "a C1 control", "\xc2\x9b", 2, "\\xC2\\x9B", "\\u009b" },
	{ "a no-break space", "\xc2\xa0", 2, "\xc2\xa0", "\xc2\xa0" },
	{ "a line separator", "\xe2\x80\xa8", 3, "\\xE2\\x80\\xA8", "\\u2028" },
	{ "an override", "\xe2\x80\xae", 3, "\\xE2\\x80\\xAE", "\\u202e" },
	{ "an isolate", "\xe2\x81\xa6", 3, "\\xE2\\x81\\xA6", "\\u2066" },
	{ "a byte order mark", "\xef\xbb\xbf", 3, "\\xEF\\xBB\\xBF",
	  "\\ufeff" },
	{ "a stray byte", "\xff", 1, "\\xFF", "\\\\xFF" },
	{ "a lone continuation", "a\x80z", 3, "a\\x80z", "a\\\\x80z" },
	{ "a character cut short", "\xe2\x82", 2, "\\xE2\\x82",
	  "\\\\xE2\\\\x82" },
	{ "a character cut short by another", "\xe2\x82z", 3, "\\xE2\\x82z",
	  "\\\\xE2\\\\x82z" },
	{ "an overlong slash", "\xc0\xaf", 2, "\\xC0\\xAF", "\\\\xC0\\\\xAF" },
	{ "a longer one", "\xe0\x80\xaf", 3, "\\xE0\\x80\\xAF",
	  "\\\\xE0\\\\x80\\\\xAF" },
	{ "the longest", "\xf0\x80\x80\xaf", 4, "\\xF0\\x80\\x80\\xAF",
	  "\\\\xF0\\\\x80\\\\x80\\\\xAF" },
	{ "a surrogate", "\xed\xa0\x80", 3, "\\xED\\xA0\\x80",
	  "\\\\xED\\\\xA0\\\\x80" },
	{ "the last character", "\xf4\x8f\xbf\xbd", 4, "\xf4\x8f\xbf\xbd",
	  "\xf4\x8f\xbf\xbd" },
	{ "one beyond it", "\xf4\x90\x80\x80", 4, "\\xF4\\x90\\x80\\x80",
	  "\\\\xF4\\\\x90\\\\x80\\\\x80" },
	{ "five bytes", "\xf8\x88\x80\x80\x80", 5, "\\xF8\\x88\\x80\\x80\\x80",
	  "\\\\xF8\\\\x88\\\\x80\\\\x80\\\\x80" },
	{ "text that looks escaped", "\\x1B", 4, "\\\\x1B", "\\\\x1B" },
};

static void test_forms(void)
{
	size_t i;

	for (i = 0; i < COUNT(forms); i++) {
		char buf[ROOM];
		char *json = escape_json(forms[i].text, forms[i].len);
		const char *shown = escape_display(buf, sizeof(buf),
						   forms[i].text, forms[i].len);

		check(shown == buf && !strcmp(buf, forms[i].display),
		      "%s is displayed as %s (%s)", forms[i].what,
		      forms[i].display, buf);
		check(json && !strcmp(json, forms[i].json),
		      "%s in JSON is %s (%s)", forms[i].what, forms[i].json,
		      json ? json : "-");
		free(json);
	}
}

static size_t utf8_encode(char out[static 4], uint32_t point)
{
	if (point < 0x80) {
		out[0] = (char)point;
		return 1;
	}
	if (point < 0x800) {
		out[0] = (char)(0xc0 | point >> 6);
		out[1] = (char)(0x80 | (point & 63));
		return 2;
	}
	if (point < 0x10000) {
		out[0] = (char)(0xe0 | point >> 12);
		out[1] = (char)(0x80 | (point >> 6 & 63));
		out[2] = (char)(0x80 | (point & 63));
		return 3;
	}
	out[0] = (char)(0xf0 | point >> 18);
	out[1] = (char)(0x80 | (point >> 12 & 63));
	out[2] = (char)(0x80 | (point >> 6 & 63));
	out[3] = (char)(0x80 | (point & 63));
	return 4;
}

/* Controls, the line separators, all that Unicode calls Bidi_Control, and the
 * byte order mark. */
static bool must_not_pass(uint32_t point)
{
	static const struct {
		uint32_t first;
		uint32_t last;
	} ranges[] = {
		{ 0, 0x1f },	    { 0x7f, 0x9f },	{ 0x61c, 0x61c },
		{ 0x200e, 0x200f }, { 0x2028, 0x202e }, { 0x2066, 0x2069 },
		{ 0xfeff, 0xfeff },
	};
	size_t i;

	for (i = 0; i < COUNT(ranges); i++)
		if (point >= ranges[i].first && point <= ranges[i].last)
			return true;
	return false;
}

static bool display_changes(const char *text, size_t len)
{
	char buf[ROOM];

	escape_display(buf, sizeof(buf), text, len);
	return strlen(buf) != len || memcmp(buf, text, len) != 0;
}

static bool json_changes(const char *text, size_t len)
{
	char *json = escape_json(text, len);
	bool changes =
		!json || strlen(json) != len || memcmp(json, text, len) != 0;

	free(json);
	return changes;
}

/* Letters of all scripts stay, nothing that acts does. */
static void test_every_character(void)
{
	unsigned int display_wrong = UINT32_MAX;
	unsigned int json_wrong = UINT32_MAX;
	uint32_t point;

	for (point = 0; point < 0x110000; point++) {
		bool must = must_not_pass(point) || point == '\\';
		char text[4];
		size_t len = utf8_encode(text, point);

		if (point >= 0xd800 && point < 0xe000)
			continue;
		if (display_changes(text, len) != must)
			display_wrong = point;
		must = must || point == '"';
		if (json_changes(text, len) != must)
			json_wrong = point;
	}
	check(display_wrong == UINT32_MAX,
	      "the display escapes what acts, and nothing else (U+%04X)",
	      display_wrong);
	check(json_wrong == UINT32_MAX,
	      "JSON escapes the same and the quote (U+%04X)", json_wrong);
}

/* What is displayed holds neither controls nor strays, whatever comes in. */
static void test_every_byte(void)
{
	unsigned int wrong = UINT32_MAX;
	unsigned int i;

	for (i = 0; i < 0x10000; i++) {
		const char text[2] = { (char)(i >> 8), (char)(i & 255) };
		char buf[ROOM];
		char again[ROOM];
		char *json = escape_json(text, 2);
		char *p;

		escape_display(buf, sizeof(buf), text, 2);
		for (p = buf; *p; p++)
			if ((unsigned char)*p < ' ' || *p == 0x7f)
				wrong = i;
		for (p = json ? json : buf; *p; p++)
			if ((unsigned char)*p < ' ' || *p == 0x7f)
				wrong = i;
		/* Escaped once more, only backslashes change: it was UTF-8. */
		for (p = buf; (p = strchr(p, '\\')) != NULL; p++)
			*p = '/';
		escape_display(again, sizeof(again), buf, strlen(buf));
		if (!json || strcmp(again, buf))
			wrong = i;
		free(json);
	}
	check(wrong == UINT32_MAX,
	      "[7] any two bytes come out printable (%04X)", wrong);
}

/* --- for programs ------------------------------------------------------ */

/* What a program reads in a string of JSON; only what escape_json writes is
 * understood.  False if it is not valid. */
static bool json_decode(char out[static ROOM], const char *json)
{
	char *to = out;
	char digits[5] = "";

	while (*json) {
		if ((unsigned char)*json < ' ' || *json == '"')
			return false;
		if (*json != '\\') {
			*to++ = *json++;
			continue;
		}
		json++;
		if (*json == '"' || *json == '\\') {
			*to++ = *json++;
			continue;
		}
		if (*json++ != 'u')
			return false;
		memcpy(digits, json, 4);
		if (strspn(digits, "0123456789abcdef") != 4)
			return false;
		to += utf8_encode(to, (uint32_t)strtoul(digits, NULL, 16));
		json += 4;
	}
	*to = '\0';
	return true;
}

/* escape_stray tells what becomes of a text that goes through JSON. */
static bool comes_through(const char *text, size_t len)
{
	/* As large as it must be. */
	char *buf = malloc(4 * len + 1);
	char *json = escape_json(text, len);
	char decoded[ROOM];
	bool same = buf && json && json_decode(decoded, json) &&
		    escape_stray(buf, text, len) == buf &&
		    !strcmp(buf, decoded);

	free(buf);
	free(json);
	return same;
}

static void test_stray(void)
{
	static const struct {
		const char *text;
		const char *read;
	} rows[] = {
		{ "", "" },
		{ "plain \"\\\n\t", "plain \"\\\n\t" },
		{ "gr\xc3\xbc\xc3\x9f\xe2\x80\xae",
		  "gr\xc3\xbc\xc3\x9f\xe2\x80\xae" },
		{ "\xff", "\\xFF" },
		{ "a\x80\n\\", "a\\x80\n\\" },
		{ "\xe2\x82", "\\xE2\\x82" },
		{ "\xff\xff\xff\xff", "\\xFF\\xFF\\xFF\\xFF" },
	};
	unsigned int wrong = UINT32_MAX;
	unsigned int i;

	for (i = 0; i < COUNT(rows); i++) {
		char buf[ROOM];

		escape_stray(buf, rows[i].text, strlen(rows[i].text));
		check(!strcmp(buf, rows[i].read), "a program reads %s (%s)",
		      rows[i].read, buf);
	}
	for (i = 0; i < COUNT(forms); i++)
		check(strlen(forms[i].text) != forms[i].len ||
			      comes_through(forms[i].text, forms[i].len),
		      "[7] %s comes through JSON", forms[i].what);
	for (i = 0; i < 0x10000; i++) {
		const char text[2] = { (char)(i >> 8), (char)(i & 255) };

		if (text[0] && text[1] && !comes_through(text, 2))
			wrong = i;
	}
	check(wrong == UINT32_MAX, "so do any two bytes (%04X)", wrong);
}

static void test_characters(void)
{
	static const struct {
		const char *text;
		size_t count;
		size_t bytes;
	} rows[] = {
		{ "", 0, 0 },
		{ "", 8, 0 },
		{ "abc", 0, 0 },
		{ "abc", 2, 2 },
		{ "abc", 3, 3 },
		{ "abc", 8, 3 },
		{ "a\xc3\xbcz", 1, 1 },
		{ "a\xc3\xbcz", 2, 3 },
		{ "a\xc3\xbcz", 3, 4 },
		{ "\xf0\x9f\x94\x92\xf0\x9f\x94\x92", 1, 4 },
		{ "\xff\xfe\xfd", 2, 2 },
		{ "\xe2\x82", 1, 1 }, /* cut short: two strays */
		{ "\xe2\x82", 2, 2 },
		{ "\xe2\x82z", 3, 3 },
	};
	size_t i;

	for (i = 0; i < COUNT(rows); i++) {
		size_t bytes = escape_characters(
			rows[i].text, strlen(rows[i].text), rows[i].count);

		check(bytes == rows[i].bytes,
		      "the first %zu of '%s' take %zu bytes (%zu)",
		      rows[i].count, rows[i].text, rows[i].bytes, bytes);
	}
}

/* --- cut --------------------------------------------------------------- */

struct piece {
	const char *text;
	const char *display;
};

/* The display must be the pieces that fit whole, as many as do, then "..." if
 * these are not all. */
static void expect(char out[static ROOM], size_t size,
		   const struct piece *pieces, size_t count)
{
	size_t kept = count;
	size_t i;

	for (;;) {
		out[0] = '\0';
		for (i = 0; i < kept; i++)
			strcat(out, pieces[i].display);
		if (kept < count)
			strcat(out, "...");
		if (strlen(out) < size)
			return;
		kept--;
	}
}

static void test_cut(const char *what, const struct piece *pieces, size_t count)
{
	char text[ROOM] = "";
	char want[ROOM];
	size_t whole = 0;
	size_t wrong = 0;
	size_t size;
	size_t i;

	for (i = 0; i < count; i++) {
		strcat(text, pieces[i].text);
		whole += strlen(pieces[i].display);
	}
	for (size = 8; size <= whole + 4; size++) {
		/* Of that very size, so that a sanitizer sees a byte more. */
		char *buf = malloc(size);

		if (!buf)
			abort();
		memset(buf, 'Z', size);
		escape_display(buf, size, text, strlen(text));
		expect(want, size, pieces, count);
		if (!memchr(buf, '\0', size) || strcmp(buf, want))
			wrong = size;
		free(buf);
	}
	check(!wrong, "%s is cut at a whole character at every size (%zu)",
	      what, wrong);
}

static void test_cuts(void)
{
	static const struct piece plain[] = {
		{ "a", "a" }, { "b", "b" }, { "c", "c" }, { "d", "d" },
		{ "e", "e" }, { "f", "f" }, { "g", "g" }, { "h", "h" },
		{ "i", "i" }, { "j", "j" }, { "k", "k" }, { "l", "l" },
	};
	static const struct piece mixed[] = {
		{ "a", "a" },
		{ "\n", "\\n" },
		{ "\xc3\xbc", "\xc3\xbc" },
		{ "\x1b", "\\x1B" },
		{ "\xe2\x82\xac", "\xe2\x82\xac" },
		{ "\\", "\\\\" },
		{ "\xf0\x9f\x94\x92", "\xf0\x9f\x94\x92" },
		{ "\xff", "\\xFF" },
		{ "z", "z" },
		{ "\t", "\\t" },
		{ "\xe2\x80\xae", "\\xE2\\x80\\xAE" },
		{ "!", "!" },
	};
	static const struct piece wide[] = {
		{ "\xf0\x9f\x94\x92", "\xf0\x9f\x94\x92" },
		{ "\xf0\x9f\x94\x92", "\xf0\x9f\x94\x92" },
		{ "\xf0\x9f\x94\x92", "\xf0\x9f\x94\x92" },
		{ "\xf0\x9f\x94\x92", "\xf0\x9f\x94\x92" },
	};
	static const struct piece hostile[] = {
		{ "\xe2\x80\xae", "\\xE2\\x80\\xAE" },
		{ "\xe2\x81\xa6", "\\xE2\\x81\\xA6" },
	};

	test_cut("plain text", plain, COUNT(plain));
	test_cut("mixed text", mixed, COUNT(mixed));
	test_cut("text of wide characters", wide, COUNT(wide));
	test_cut("hostile text", hostile, COUNT(hostile));
}

static void test_columns(void)
{
	static const struct {
		const char *text;
		size_t columns;
	} rows[] = {
		{ "", 0 },
		{ "deploy", 6 },
		{ "gr\xc3\xbc\xc3\x9f", 4 },
		{ "\xe2\x82\xac\xe2\x82\xac", 2 },
		{ "a\xf0\x9f\x94\x92z", 3 },
		{ "\\xFF", 4 },
	};
	size_t i;

	for (i = 0; i < COUNT(rows); i++)
		check(escape_columns(rows[i].text) == rows[i].columns,
		      "'%s' takes %zu columns", rows[i].text, rows[i].columns);
}

/* --- percent ----------------------------------------------------------- */

static bool stays(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
	       c == '@';
}

static void test_encode(void)
{
	char buf[16];
	int wrong = -1;
	int c;

	for (c = 0; c < 256; c++) {
		const char text = (char)c;
		char want[8];
		size_t len = percent_encode(buf, &text, 1);

		snprintf(want, sizeof(want), stays(c) ? "%c" : "%%%02X",
			 (unsigned int)c);
		if (c == 0)
			strcpy(want, "%00");
		if (len != strlen(want) || strcmp(buf, want))
			wrong = c;
	}
	check(wrong < 0,
	      "letters, digits and -._@ stay, any other byte is %%XX (%d)",
	      wrong);
	check(percent_encode(buf, "", 0) == 0 && !*buf,
	      "nothing is encoded as nothing");
	check(percent_encode(buf, "a~b", 3) == 5 && !strcmp(buf, "a%7Eb"),
	      "[43] what a shell expands is encoded");
}

/* Nothing but what percent_encode makes is decoded. */
static void test_decode_exhaustively(void)
{
	unsigned int wrong = UINT32_MAX;
	char buf[4];
	size_t n;
	unsigned int i;

	for (i = 0; i < 256; i++) {
		const char text = (char)i;
		bool done = percent_decode_strict(buf, 3, &text, 1, &n);

		if (done != stays((int)i) ||
		    (done && (n != 1 || buf[0] != text || buf[1])))
			wrong = i;
	}
	check(wrong == UINT32_MAX,
	      "a byte by itself is taken if it is one that stays (%02X)",
	      wrong);
	for (i = 0; i < 0x10000; i++) {
		const char text[3] = { '%', (char)(i >> 8), (char)(i & 255) };
		bool done = percent_decode_strict(buf, 3, text, 3, &n);
		char again[8] = "";

		if (done)
			percent_encode(again, buf, n);
		if (done && (n != 1 || !buf[0] || memcmp(again, text, 4 - 1)))
			wrong = i;
		if (!done && memchr("0123456789ABCDEF", text[1], 16) &&
		    memchr("0123456789ABCDEF", text[2], 16)) {
			const char two[3] = { text[1], text[2], '\0' };
			int value = (int)strtol(two, NULL, 16);

			if (value && !stays(value))
				wrong = i;
		}
	}
	check(wrong == UINT32_MAX,
	      "an escape is taken if it is upper case, needed and no NUL "
	      "(%04X)",
	      wrong);
}

static void test_decode(void)
{
	static const struct {
		const char *text;
		const char *decoded; /* NULL: refused */
	} rows[] = {
		{ "", "" },
		{ "al@web3", "al@web3" },
		{ "v1.2", "v1.2" },
		{ "%20", " " },
		{ "a%20b", "a b" },
		{ "%FF%0A", "\xff\n" },
		{ "%25", "%" },
		{ "%", NULL },
		{ "%2", NULL },
		{ "a%", NULL },
		{ "a%2", NULL },
		{ "%%20", NULL },
		{ "%2525", "%25" },
		{ "%ff", NULL },
		{ "%fF", NULL },
		{ "%41", NULL },
		{ "%00", NULL },
		{ "a b", NULL },
		{ "a:b", NULL },
		{ "a~b", NULL },
		{ "a+b", NULL },
		{ "abcdefgh", "abcdefgh" },
		{ "abcdefghi", NULL },
		{ "abcdefg%20", "abcdefg " },
		{ "abcdefgh%20", NULL },
	};
	size_t i;

	for (i = 0; i < COUNT(rows); i++) {
		size_t len = strlen(rows[i].text);
		/* Exactly as large as they may be. */
		char *text = malloc(len ? len : 1);
		char *buf = malloc(8 + 1);
		size_t n = 99;
		bool done;

		if (!text || !buf)
			abort();
		memcpy(text, rows[i].text, len);
		done = percent_decode_strict(buf, 8, text, len, &n);
		if (rows[i].decoded)
			check(done && n == strlen(rows[i].decoded) &&
				      !strcmp(buf, rows[i].decoded),
			      "'%s' is decoded", rows[i].text);
		else
			check(!done, "'%s' is refused", rows[i].text);
		free(text);
		free(buf);
	}
}

static void test_decode_url(void)
{
	static const struct {
		const char *text;
		const char *decoded; /* NULL: refused */
	} rows[] = {
		{ "", "" },
		{ "secret", "secret" },
		{ "a b:c/d~", "a b:c/d~" },
		{ "%40%3a%3A%2f", "@::/" },
		{ "%41", "A" },
		{ "%ff%FF%fF", "\xff\xff\xff" },
		{ "100%25", "100%" },
		{ "%2541", "%41" },
		{ "%", NULL },
		{ "a%4", NULL },
		{ "%g0", NULL },
		{ "%0g", NULL },
		{ "%00", NULL },
		{ "a%00b", NULL },
		{ "%%41", NULL },
		{ "% 1", NULL },
		{ "%-1", NULL },
	};
	size_t i;

	for (i = 0; i < COUNT(rows); i++) {
		char *text = strdup(rows[i].text);
		bool done;

		if (!text)
			abort();
		done = percent_decode_url(text);
		if (rows[i].decoded)
			check(done && !strcmp(text, rows[i].decoded),
			      "'%s' of a URL is decoded", rows[i].text);
		else
			check(!done, "'%s' of a URL is refused", rows[i].text);
		free(text);
	}
}

static void test_shell(void)
{
	static const struct {
		const char *text;
		const char *quoted;
	} rows[] = {
		{ "", "''" },
		{ "deploy", "'deploy'" },
		{ "a b", "'a b'" },
		{ "$(rm -rf /) `x` \\ \" ! ~ *",
		  "'$(rm -rf /) `x` \\ \" ! ~ *'" },
		{ "a\nb", "'a\nb'" },
		{ "it's", "'it'\\''s'" },
		{ "'", "''\\'''" },
		{ "''", "''\\'''\\'''" },
		{ "\xff\xc3\xbc", "'\xff\xc3\xbc'" },
	};
	size_t i;

	for (i = 0; i < COUNT(rows); i++) {
		char *quoted = escape_shell(rows[i].text);

		check(quoted && !strcmp(quoted, rows[i].quoted),
		      "'%s' is quoted for a shell", rows[i].text);
		free(quoted);
	}
}

int main(void)
{
	test_forms();
	test_every_character();
	test_every_byte();
	test_stray();
	test_characters();
	test_cuts();
	test_columns();
	test_encode();
	test_decode_exhaustively();
	test_decode();
	test_decode_url();
	test_shell();
	return test_end();
}
