import { mount } from './panel.js';

mount(document.getElementById('feed'));
