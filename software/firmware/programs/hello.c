/* Prints a line and exits with 0. */
#include "firmware.h"

int main(void) {
    print("hello from hart ");
    print_decimal(CSR_READ("mhartid"));
    print("\n");
    return 0;
}
