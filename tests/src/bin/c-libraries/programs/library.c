// One of a ring of libraries: a hundred functions, and a table of a thousand addresses that are looked up by name,
// its own and those of the library NEXT.
#define PASTE(library, number) f##library##_##number
#define NAME(library, number) PASTE(library, number)
#define TEN(do, tens) \
    do(tens##0) do(tens##1) do(tens##2) do(tens##3) do(tens##4) do(tens##5) do(tens##6) do(tens##7) do(tens##8) do(tens##9)
#define HUNDRED(do) \
    TEN(do, 1) TEN(do, 2) TEN(do, 3) TEN(do, 4) TEN(do, 5) TEN(do, 6) TEN(do, 7) TEN(do, 8) TEN(do, 9) TEN(do, 10)

#define DEFINE(number) int NAME(LIBRARY, number)(void) { return number; }
#define DECLARE(number) int NAME(NEXT, number)(void);
#define OWN(number) NAME(LIBRARY, number),
#define OTHER(number) NAME(NEXT, number),

HUNDRED(DEFINE)
HUNDRED(DECLARE)

int (*NAME(table, LIBRARY)[])(void) = {
    HUNDRED(OWN) HUNDRED(OTHER) HUNDRED(OWN) HUNDRED(OTHER) HUNDRED(OWN)
    HUNDRED(OTHER) HUNDRED(OWN) HUNDRED(OTHER) HUNDRED(OWN) HUNDRED(OTHER)
};
