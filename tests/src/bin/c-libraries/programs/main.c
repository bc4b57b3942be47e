// Calls one function through the first table: that all the others are bound is the loader's work.
extern int (*ftable_0[])(void);
int main(void) { return ftable_0[100]() != 10; }
