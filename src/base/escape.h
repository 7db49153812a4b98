/* escape.h - text from outside made safe, and the token's percent-encoding
 *
 * Whatever comes from a key, an argument or the environment may hold terminal
 * controls, newlines, bytes that are no UTF-8, or characters that turn the
 * reading direction round.  It passes through here before anybody sees it.
 */
#ifndef RLOCK_ESCAPE_H
#define RLOCK_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>

/* For people: printable UTF-8 stays; control characters, bidirectional
 * overrides, line separators, backslashes and stray bytes become \n, \t, \\ or
 * \xNN.  Writes at most size bytes with the final NUL; what does not fit is cut
 * at a whole character and ends in "...".  size must be at least 8.  Returns
 * buf. */
const char *escape_display(char *buf, size_t size, const char *text,
			   size_t len);

/* For JSON, without the quotes around it: \" \\ \n \u001b and so on; a stray
 * byte, which JSON cannot carry, is shown as the four characters \xNN (so the
 * output has \\xNN).  Returns a string the caller frees, NULL without memory. */
char *escape_json(const char *text, size_t len);

/* What a program reads that decodes escape_json's output: text, but for its
 * stray bytes and NULs, which no argument can carry.  The buffer must hold 4 * len + 1.  Returns buf. */
const char *escape_stray(char *buf, const char *text, size_t len);

/* How many bytes of text its first count characters take; a stray byte counts
 * as one. */
size_t escape_characters(const char *text, size_t len, size_t count);

/* How many columns the text takes, counting a character as one. */
size_t escape_columns(const char *text);

/* Percent-encoding as tokens have it: letters, digits and -._@ stay, any other
 * byte is %XX in upper case.  Returns the length written, without the NUL that
 * follows; the buffer must hold 3 * len + 1. */
size_t percent_encode(char *buf, const char *text, size_t len);

/* The reverse, and strict: false if text is not exactly what percent_encode
 * makes of something, if it decodes to a NUL, or to more than max bytes.  On
 * success buf holds *decoded bytes and a NUL; it must have room for max + 1. */
bool percent_decode_strict(char *buf, size_t max, const char *text, size_t len,
			   size_t *decoded);

/* Decodes the %XX of a URL in place, in either case.  False on a bad escape
 * or on %00. */
bool percent_decode_url(char *text);

/* Quotes text for a POSIX shell: 'it'\''s'.  Returns a string the caller
 * frees, NULL without memory. */
char *escape_shell(const char *text);

#endif
