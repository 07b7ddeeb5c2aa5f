/* The least there is: output and an exit status. */
#include <stdio.h>

int main(void)
{
    puts("hello, world");
    return 7;
}
