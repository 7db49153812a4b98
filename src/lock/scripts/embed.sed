# embed.sed - a Lua script as a C string: comments and indentation go, because
# the whole text travels with every request
/^ *--/d
s/ -- .*$//
s/^ *//
/^$/d
s/[\\"]/\\&/g
s/.*/	"&\\n"/
