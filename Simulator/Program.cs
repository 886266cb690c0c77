using AiAspire.Simulator;

await SimulatorApp.Build(args).RunAsync();
