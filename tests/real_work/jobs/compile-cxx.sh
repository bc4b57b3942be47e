#: Tools: g++ cc1plus@g++ collect2@g++ as ld
# A gcc that is called from another directory looks for its files beside that one.
export GCC_EXEC_PREFIX="$(dirname "$(dirname "$(dirname "$(/usr/bin/gcc -print-libgcc-file-name)")")")/"
cat > main.cc <<'C'
#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <regex>
#include <stdexcept>
#include <string>
#include <vector>

template <typename T> struct Shape { virtual ~Shape() = default; virtual T area() const = 0; };
struct Square : Shape<int> { int side; explicit Square(int s) : side(s) {} int area() const override { return side * side; } };

int main() {
    std::vector<std::unique_ptr<Shape<int>>> shapes;
    for (int side : {3, 1, 2}) shapes.push_back(std::make_unique<Square>(side));
    std::map<int, std::string> names;
    for (auto &shape : shapes) names[shape->area()] = std::regex_replace(std::string("area #"), std::regex("#"), std::to_string(shape->area()));
    for (auto &[area, name] : names) std::cout << area << ' ' << name << '\n';
    try { throw std::out_of_range("thrown"); } catch (const std::exception &e) { std::cout << e.what() << '\n'; }
}
C
for flags in -O0 '-O2 -g -std=c++20'; do
    g++ -B"$BIN/" $flags main.cc -o main
    sha256sum main
    ./main
done
