int library_chose_avx2(void);

int main(void) {
    return library_chose_avx2();
}
