from emotion.export import main

main()
