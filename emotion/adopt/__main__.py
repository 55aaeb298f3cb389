from emotion.adopt import main

main()
