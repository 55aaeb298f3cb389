from emotion.audit import main

main()
