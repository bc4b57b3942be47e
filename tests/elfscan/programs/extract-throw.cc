// Dies of an exception that nobody catches, thrown in the C++ library.
#include <vector>

__attribute__((noinline)) int element(const std::vector<int> &numbers, unsigned long index)
{
    return numbers.at(index) + 1;
}

int main(int count, char **)
{
    std::vector<int> numbers(static_cast<unsigned long>(count));
    return element(numbers, 4711) + 1;
}
